import json

import keras
import numpy as np
import pytest
import small

from bnkit import callbacks
from bnkit.schedules import Elapsed
from bnkit.training import Trainer


class Steps:
    """In place of time: a checkpoint whenever so many steps have passed."""

    def __init__(self, every):
        self.every = every

    def next(self, step):
        return -(-step // self.every) * self.every or None

    def restart(self, seconds):
        pass


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
        seconds=1000.0,
        metrics_length=lambda: len(records),
        on_save=lambda: saves.append(trainer.step),
    )
    checkpoint.when = Steps(every)
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
    assert saves == [0, 5, 10, 15, 17]
    _, records, _ = run(tmp_path / "parts", 17, stop_after=12)
    # A crash: records of steps after the checkpoint are there already.
    records += [{"step": 12, "kind": "train", "loss": -1.0}] * 3
    resumed, records, saves = run(tmp_path / "parts", 17, records=records)
    assert saves == [15, 17]
    assert records == expected
    for a, b in zip(state(whole), state(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_of_a_step_holds_no_record_of_it(tmp_path):
    run(tmp_path, 17, stop_after=12)
    _, records, _ = run(tmp_path, 17)
    assert [record["step"] for record in records] == list(range(12, 17))


def test_the_last_two_are_kept(tmp_path):
    run(tmp_path, 17)
    names = sorted(path.name for path in tmp_path.iterdir())
    suffixes = ("data-00000-of-00001", "index", "json")
    assert names == [f"ckpt-{step}.{suffix}" for step in (15, 17) for suffix in suffixes]


def test_there_is_one_from_the_start(tmp_path):
    trainer, _, _ = run(tmp_path, 1, every=1000)
    assert (tmp_path / "ckpt-0.index").exists() and trainer.step == 1


def damage_data(path):
    data = path / "ckpt-17.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)


DAMAGES = {
    "a bit": damage_data,
    "the index": lambda path: (path / "ckpt-17.index").write_bytes(b""),
    "no data": lambda path: (path / "ckpt-17.data-00000-of-00001").unlink(),
    "no list": lambda path: (path / "ckpt-17.json").write_text("[]"),
    "a bit, and no list": lambda path: (damage_data(path), (path / "ckpt-17.json").unlink()),
    "no index": lambda path: (path / "ckpt-17.index").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_the_one_before_a_damaged_one_is_used(tmp_path, damage, caplog):
    run(tmp_path, 17)
    damage(tmp_path)
    resumed, records, saves = run(tmp_path, 18)
    assert [record["step"] for record in records] == [15, 16, 17]
    assert saves == [15, 18] and resumed.step == 18
    # Without its index it is no checkpoint, damaged or not.
    named = ["ckpt-17 is damaged" in message for message in caplog.messages]
    assert named == ([] if damage is DAMAGES["no index"] else [True])


def test_one_that_is_whole_but_not_listed_is_used(tmp_path):
    """A run that was killed before the list of checksums was written, or of an earlier version."""
    run(tmp_path, 17)
    (tmp_path / "ckpt-17.json").unlink()
    (tmp_path / "checkpoint").mkdir()
    _, records, _ = run(tmp_path, 18)
    assert [record["step"] for record in records] == [17]


def test_what_killed_saves_left_is_removed(tmp_path):
    run(tmp_path, 12)
    (tmp_path / "ckpt-13_temp").mkdir()
    (tmp_path / "ckpt-13_temp" / "part-00000-of-00001").write_bytes(b"half")
    (tmp_path / "ckpt-14.data-00000-of-00001").write_bytes(b"half")
    (tmp_path / "mine.txt").write_text("not a checkpoint")
    run(tmp_path, 17)
    steps = {path.name.split(".")[0] for path in tmp_path.glob("ckpt-*")}
    assert steps == {"ckpt-15", "ckpt-17"} and (tmp_path / "mine.txt").exists()


def test_a_save_that_was_killed_is_made_again(tmp_path):
    """At step 0 there is no earlier checkpoint to go on from: the same save comes first again."""
    left = tmp_path / "ckpt-0_temp"
    left.mkdir()
    (left / "part-00000-of-00001.data-00000-of-00001.tempstate123").write_bytes(b"half")
    run(tmp_path, 2)
    assert not left.exists()
    listed = json.loads((tmp_path / "ckpt-0.json").read_text())
    assert set(listed) == {"ckpt-0.index", "ckpt-0.data-00000-of-00001"}


def test_no_checkpoint_is_no_checkpoint(tmp_path):
    trainer = small.trainer()
    checkpoint = callbacks.Checkpoint(
        tmp_path, seconds=9.0, metrics_length=lambda: 0, on_save=lambda: None
    )
    checkpoint.set_trainer(trainer)
    assert checkpoint.restore() is None
    assert trainer.step == 0


def test_saves_come_by_time_and_cost_little_of_it(tmp_path, monkeypatch):
    """A save of 0.3 s: the next one comes after 15 s, of which it is 2 %."""
    now = [100.0]
    monkeypatch.setattr("bnkit.callbacks.checkpoint.time.monotonic", lambda: now[0])
    trainer = small.trainer()

    def save_takes():
        now[0] += 0.3

    checkpoint = callbacks.Checkpoint(
        tmp_path, seconds=10.0, metrics_length=lambda: 0, on_save=save_takes
    )
    checkpoint.when = Elapsed(10.0, now=lambda: now[0])
    checkpoint.set_trainer(trainer)
    assert checkpoint.when.next(3) is None
    now[0] += 10
    assert checkpoint.when.next(3) == 3
    checkpoint.save()
    now[0] += 14.9
    assert checkpoint.when.next(4) is None
    now[0] += 0.2
    assert checkpoint.when.next(4) == 4
