"""The landscape along random directions, taken while a model trains."""

import json

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from bnkit import callbacks, probes
from bnkit.layers import BatchNorm

FIELDS = {
    "step", "kind", "direction", "loss", "gradient_norm", "step_sizes", "losses",
    "gradient_distances", "smoothness", "statistics", "added_losses",
    "precision",
}  # fmt: skip


def taken(steps=5, *, norm=None, **options):
    """The trainer and the records of a short run, every second step."""
    watcher = callbacks.RandomLandscape([0.1, 0.2], every=2, **options)
    trainer = small.trainer(norm)
    trainer.fit(small.batches(), steps, [watcher])
    return trainer, watcher.records


def test_every_direction_has_a_record():
    written = []
    _, records = taken(directions=3, write=written.append)
    assert written == records
    assert [(r["step"], r["direction"]) for r in records] == [
        (step, direction) for step in (0, 2, 4) for direction in range(3)
    ]
    for record in records:
        assert record.keys() == FIELDS
        assert record["kind"] == "random_landscape" and record["step_sizes"] == [0.1, 0.2]
        assert len(record["losses"]) == len(record["gradient_distances"]) == 2
        assert json.loads(json.dumps(record)) == record


def test_records_follow_from_seed_step_and_direction():
    _, records = taken(directions=2, seed=5)
    assert taken(directions=2, seed=5)[1] == records
    # The first directions are the same ones, however many there are.
    assert taken(seed=5)[1] == [r for r in records if r["direction"] == 0]
    others = taken(directions=2, seed=6)[1]
    for mine, other in zip(records, others, strict=True):
        assert mine["gradient_norm"] == other["gradient_norm"]
        assert mine["losses"] != other["losses"]
    assert len({tuple(r["losses"]) for r in records}) == len(records)


def test_directions_differ_between_steps_of_the_same_weights():
    """Without learning and on one batch, nothing but the direction can differ."""
    data = small.split(8)
    batch = (np.asarray(small.prepare(data.x)), data.y)
    watcher = callbacks.RandomLandscape([0.1], every=1, directions=2, batch=batch)
    trainer = small.trainer(None, optimizer=lambda: keras.optimizers.SGD(0.0))
    trainer.fit(small.batches(), 3, [watcher])
    assert len({r["loss"] for r in watcher.records}) == 1
    assert len({r["losses"][0] for r in watcher.records}) == len(watcher.records) == 6


def test_it_is_the_probe_at_the_weights_of_the_step():
    """The seed of a direction is made from the given one, the step, and its number."""
    trainer = small.trainer(BatchNorm)
    trainer.fit(small.batches(), 2)
    x, y = trainer.batch()
    watcher = callbacks.RandomLandscape([0.1, 0.2], every=2, directions=2, seed=7)
    expected = [
        probes.landscape(
            trainer.model,
            trainer.loss_fn,
            (small.prepare(x), y),
            [0.1, 0.2],
            "random",
            seed=tf.random.experimental.stateless_fold_in([7, 2], direction),
        )
        for direction in range(2)
    ]
    trainer.fit(small.batches(), 3, [watcher])
    assert len(watcher.records) == 2
    for record, measured in zip(watcher.records, expected, strict=True):
        for name, value in measured._asdict().items():
            np.testing.assert_allclose(record[name], value, rtol=1e-3, err_msg=name)
        np.testing.assert_allclose(record["losses"], measured.losses, rtol=1e-5)


def test_a_run_with_it_ends_in_the_same_bits_as_one_without():
    plain = small.trainer(BatchNorm)
    plain.fit(small.batches(), 5)
    probed, records = taken(norm=BatchNorm, directions=2)
    assert len(records) == 6
    variables = [t.model.variables + t.optimizer.variables for t in (plain, probed)]
    for a, b in zip(*variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def test_all_directions_and_steps_are_traced_once():
    watcher = callbacks.RandomLandscape([0.1], every=1, directions=2)
    small.trainer(None).fit(small.batches(), 3, [watcher])
    assert len(watcher.records) == 6
    assert watcher._compiled.experimental_get_tracing_count() == 1


def test_in_model_fit_on_a_fixed_batch():
    data = small.split(32)
    x, y = np.asarray(small.prepare(data.x)), data.y
    batch = (x[:8], y[:8])

    def fitted(watchers=()):
        model = small.model(BatchNorm)
        model.compile(keras.optimizers.SGD(0.1), small.cross_entropy())
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=list(watchers))
        return model

    watcher = callbacks.RandomLandscape([0.1, 0.2], every=3, directions=2, batch=batch, seed=1)
    probed, plain = fitted([watcher]), fitted()
    for a, b in zip(probed.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    found = [(r["step"], r["direction"]) for r in watcher.records]
    assert found == [(0, 0), (0, 1), (3, 0), (3, 1)]
    expected = probes.landscape(
        small.model(BatchNorm),
        small.cross_entropy(),
        batch,
        [0.1, 0.2],
        "random",
        seed=tf.random.experimental.stateless_fold_in([1, 0], 1),
    )
    np.testing.assert_allclose(watcher.records[1]["losses"], expected.losses, rtol=1e-5)


def test_in_model_fit_it_needs_a_batch():
    model = small.model()
    model.compile("sgd", small.cross_entropy())
    data = small.split(8)
    with pytest.raises(ValueError, match=r"RandomLandscape needs `batch=\(x, y\)`.*batch=None"):
        model.fit(
            small.prepare(data.x), data.y, verbose=0, callbacks=[callbacks.RandomLandscape([0.1])]
        )


def test_a_direction_is_needed():
    with pytest.raises(ValueError, match="directions=0"):
        callbacks.RandomLandscape(directions=0)
