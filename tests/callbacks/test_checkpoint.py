import keras
import numpy as np
import small

from bnkit import callbacks
from bnkit.training import Trainer


def run(directory, steps, stop_after=None, every=5, records=None):
    """Trains with checkpoints, going on from the newest; the network has random state."""
    base = small.model(small.BatchNorm)
    model = keras.Model(base.input, keras.layers.Dropout(0.2, seed=5)(base.output))
    trainer = Trainer(
        model, keras.optimizers.Adam(0.01), small.cross_entropy(), prepare=small.prepare
    )
    records = [] if records is None else records
    saves = []
    checkpoint = callbacks.Checkpoint(
        directory,
        every=every,
        metrics_length=lambda: len(records),
        on_save=lambda: saves.append(trainer.step),
    )
    checkpoint.set_trainer(trainer)
    length = checkpoint.restore()
    if length is not None:
        del records[length:]
    metrics = callbacks.TrainingMetrics(records.append)
    trainer.fit(small.batches(), stop_after or steps, [checkpoint, metrics])
    return trainer, records, saves


def state(trainer):
    return [v.numpy() for v in trainer.model.variables + trainer.optimizer.variables]


def test_a_resumed_run_ends_in_the_same_bits_with_the_same_records(tmp_path):
    whole, expected, saves = run(tmp_path / "whole", 17)
    assert saves == [5, 10, 15, 17]
    _, records, _ = run(tmp_path / "parts", 17, stop_after=12)
    # A crash: records of steps after the checkpoint are there already.
    records += [{"step": 12, "kind": "train", "loss": -1.0}] * 3
    resumed, records, saves = run(tmp_path / "parts", 17, records=records)
    assert saves == [15, 17]
    assert records == expected
    for a, b in zip(state(whole), state(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_of_a_step_holds_no_record_of_it(tmp_path):
    _, _, _ = run(tmp_path, 17, stop_after=12)
    base = run(tmp_path, 17)
    assert [record["step"] for record in base[1]] == list(range(12, 17))
    assert len(list(tmp_path.glob("*.index"))) == 1


def test_no_checkpoint_is_no_checkpoint(tmp_path):
    trainer = small.trainer()
    checkpoint = callbacks.Checkpoint(
        tmp_path, every=5, metrics_length=lambda: 0, on_save=lambda: None
    )
    checkpoint.set_trainer(trainer)
    assert checkpoint.restore() is None
    assert trainer.step == 0
