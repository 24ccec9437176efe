"""Where the time of a run goes."""

import time

from small import fitted

from bnkit.callbacks import Callback
from bnkit.schedules import Every
from bnkit.training import Clock


def test_seconds_are_booked_where_they_were_spent():
    trainer = fitted(callbacks=[Callback(Every(4))])
    seconds = trainer.clock.seconds
    assert set(seconds) == {"compile", "data", "train", "other"}
    assert all(value > 0 for value in seconds.values())
    assert sum(seconds.values()) <= trainer.clock.total


def test_a_run_that_goes_on_adds_to_what_was_spent_before():
    clock = Clock()
    clock.go_on({"train": 1000.0, "total": 2000.0})
    with clock("train"):
        time.sleep(0.01)
    assert 1000.01 <= clock.seconds["train"] < 1010 and 2000.01 <= clock.total < 2010


def test_a_part_that_fails_is_booked_too():
    clock = Clock()
    try:
        with clock("data"):
            time.sleep(0.01)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert clock.seconds["data"] >= 0.01
