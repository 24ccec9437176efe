"""Headline numbers of runs, and the warnings on them."""

import json
import math

import pytest

from bnkit.report.runs import read_runs
from bnkit.report.statistics.headline import headline, warnings


def test_headline_numbers(runs):
    path = runs(kinds=())
    train = [
        {"step": step, "kind": "train", "loss": 1.0, "accuracy": 0.5 if step < 50 else 0.9}
        for step in range(100)
    ]
    probes = [
        {
            "step": step,
            "kind": "landscape",
            "loss": 1.0,
            "gradient_norm": 1.0,
            "step_sizes": [0.1, 0.2],
            "losses": losses,
            "gradient_distances": [1.0, 1.0],
            "smoothness": smoothness,
        }
        for step, losses, smoothness in ((0, [1, 4], 30.0), (100, [1, 2], 7.0), (200, [1, 3], 8.0))
    ]
    tests = [
        {"step": step, "kind": "eval", "loss": 1.0, "accuracy": step / 100} for step in (50, 75)
    ]
    lines = [json.dumps(record) + "\n" for record in (*train, *probes, *tests)]
    (path / "metrics.jsonl").write_text("".join(lines))
    (run,) = read_runs(path)
    head = headline(run)
    assert head["accuracy"] == pytest.approx(0.9) and head["test"] == 0.75
    assert (head["early"], head["peak"], head["loss_range"]) == (30.0, 8.0, 2.0)
    assert not head["never_trained"] and warnings([head]) == []


def test_an_arm_at_chance_is_called_untrained_only_once_it_has_ended(runs):
    ends = (("done", 120, True), ("running", 120, False), ("done", 60, False))
    for status, steps, expected in ends:
        study = f"{status}{steps}"
        path = runs(norm="none", study=study, status=status, steps=steps, kinds=("train",))
        (run,) = read_runs(path)
        head = headline(run)
        assert head["never_trained"] is expected


def test_a_regression_whose_loss_has_not_halved_is_called_untrained(runs):
    # The loss falls by a factor of e in 200 steps: from the first to the mean of the last 50.
    for steps, status, expected in (
        (120, "done", True),
        (120, "running", False),
        (400, "done", False),
    ):
        path = runs(
            model="dln", study=f"{status}{steps}", status=status, steps=steps, kinds=("train",)
        )
        (run,) = read_runs(path)
        head = headline(run)
        assert head["never_trained"] is expected
        said = " ".join(warnings([head]))
        assert ("has not fallen to half of its first one" in said) is expected


def test_smoothness_that_was_lost_is_the_largest(runs):
    path = runs(model="dln", norm="none", steps=10, kinds=("landscape",))
    (run,) = read_runs(path)
    head = headline(run)
    assert head["early"] == head["loss_range"] == math.inf


def test_the_reason_of_a_failure_is_one_line():
    head = {"study": "s", "run": "r", "status": "failed", "never_trained": False}
    wrapped = "ValueError: in user code:\n\n    File x\n\n    ValueError: the error itself\n"
    for reason, end in ((wrapped, ": ValueError: the error itself"), ("", "")):
        assert warnings([{**head, "reason": reason}]) == [f"s/r failed{end}."]
    (long,) = warnings([{**head, "reason": "word " * 900}])
    assert len(long) < 330 and long.endswith(" ….")
