import numpy as np
import pytest
import small

from bnkit import callbacks
from bnkit.callbacks.training import drawn


def test_every_step_is_recorded_once_with_all_its_values():
    records = []
    trainer = small.trainer(weight_decay=0.1)
    trainer.fit(small.batches(), 7, [callbacks.TrainingMetrics(records.append)])
    assert [record["step"] for record in records] == list(range(7))
    for record in records:
        assert record.keys() == {"step", "kind", "loss", "accuracy", "penalty"}
        assert record["kind"] == "train" and type(record["loss"]) is float


def test_evaluation_at_its_steps_and_after_the_last_update():
    """In between on some samples, at the end on all."""
    records = []
    trainer, test = small.trainer(), small.split(40, seed=9)
    watcher = callbacks.Evaluation(test, every=4, samples=8, batch_size=5, write=records.append)
    chosen = drawn(40, 8)
    first = trainer.evaluate(test.x[chosen], test.y[chosen], 5)
    trainer.fit(small.batches(), 10, [watcher])
    assert [record["step"] for record in records] == [0, 4, 8, 10]
    assert [record["test_samples"] for record in records] == [8, 8, 8, 40]
    last = trainer.evaluate(test.x, test.y, 5)
    assert {name: records[0][name] for name in first} == first
    assert records[-1] == {"step": 10, "kind": "eval", "test_samples": 40, **last}


@pytest.mark.parametrize("labels", [np.arange(2000) % 10, np.arange(2000) // 200])
def test_samples_are_of_all_classes_alike(labels):
    """Whether labels come in turn, as those of the glyphs do, or sorted."""
    positions = drawn(2000, 500)
    assert len(set(positions)) == 500 and (np.diff(positions) > 0).all()
    counts = np.bincount(labels[positions], minlength=10)
    # 50 of each, with a standard deviation of 6.
    assert counts.min() > 25 and counts.max() < 75
    np.testing.assert_array_equal(positions, drawn(2000, 500))
    assert drawn(3, 5).tolist() == [0, 1, 2]


STATISTICS = {"loss_batch_statistics", "loss_population_statistics"}


@pytest.mark.parametrize("norm, more", [(small.BatchNorm, STATISTICS), (None, set())])
def test_models_with_moving_statistics_are_evaluated_with_others_too(norm, more):
    records = []
    trainer, test = small.trainer(norm), small.split(20, seed=9)
    watcher = callbacks.Evaluation(test, every=4, samples=20, batch_size=10, write=records.append)
    trainer.fit(small.batches(), 5, [watcher])
    assert [record["step"] for record in records] == [0, 4, 5]
    for record in records:
        assert record.keys() == {"step", "kind", "test_samples", "loss", "accuracy"} | more
        assert all(type(record[name]) is float for name in more)
