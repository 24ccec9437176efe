"""Whether a run has trained, from its records."""

import math

import pandas as pd

from bnkit.report.statistics import training


def test_what_never_trained_goes_by_steps_whatever_the_records_are_means_of():
    records = {"status": "done", "step": [99, 199, 299], "classes": 10.0, "mean_over": "epoch"}
    at_chance = pd.DataFrame({**records, "loss": 2.3, "accuracy": 0.1})
    assert training.never_trained(at_chance)
    assert not training.never_trained(at_chance.assign(step=[9, 19, 29]))
    assert not training.never_trained(at_chance.assign(classes=math.nan))
    losses = at_chance.assign(accuracy=math.nan, classes=math.nan)
    # The mean over the first epoch is no first loss.
    assert not training.never_trained(losses)
    losses["mean_over"] = "step"
    assert training.never_trained(losses)
    assert training.never_trained(losses.assign(loss=math.inf))
    assert not training.never_trained(losses.assign(loss=[math.inf, 2.0, 0.9]))


def test_a_run_that_may_yet_train_has_not_never_trained():
    records = {"step": range(300), "classes": 10.0, "mean_over": "step", "loss": 2.3}
    at_chance = pd.DataFrame({**records, "accuracy": 0.1, "status": "done"})
    for status, expected in (("done", True), ("diverged", True), ("running", False)):
        assert training.never_trained(at_chance.assign(status=status)) is expected
    assert not training.never_trained(at_chance.iloc[:0])


def test_the_mean_of_the_last_fifty_steps_decides():
    records = {"step": range(300), "classes": 10.0, "mean_over": "step", "loss": 2.3}
    late = pd.DataFrame({**records, "accuracy": 0.1, "status": "done"})
    # Guessing is 0.1, and 5 % of the way to 1 is at 0.145. Steps 250 to 299 are the last 50.
    late.loc[late["step"] == 249, "accuracy"] = 1.0
    late.loc[late["step"] > 250, "accuracy"] = 0.1455
    assert training.never_trained(late)
    late.loc[late["step"] == 250, "accuracy"] = 0.1455
    assert not training.never_trained(late)
