"""The sentence that a report opens with."""

import math

import pytest

from bnkit.report.page import answer
from bnkit.report.runs import read_runs

TWICE = math.log(2)


def claim(question, verdict="supported", effect=TWICE, **fields):
    given = {
        **{"arm": "bn", "baseline": "none", "condition": "lr 0.1", "interval": None},
        **{"unit": "ln ratio", "seeds": 3, "brief": "9 seeds would decide"},
    }
    return {"question": question, "verdict": verdict, "effect": effect, **given, **fields}


def test_the_first_supported_claim_of_bn_is_told():
    found = [
        claim("rough-at-start"),
        claim("loss-range", arm="l2"),
        claim("loss-range", "contradicted"),
        claim("gradient-predictiveness", "inconclusive"),
        claim("smoothness"),
        claim(None, unit="relative difference", baseline=None),
    ]
    told = "The largest effective β-smoothness with BN is 2 times lower, 3 seeds"
    assert answer.answer(found) == told == answer.answer(found[::-1])
    # The size of an effect does not count.
    assert answer.answer([*found, claim("faster-training", effect=9.0)]) == told


def test_other_arms_and_contradictions_are_told_where_there_is_nothing_else():
    found = [claim("loss-range", "contradicted", -math.log(4)), claim("smoothness", arm="l2")]
    assert "β-smoothness with L2 is" in answer.answer(found)
    assert answer.answer(found[:1]) == (
        "Along the gradient the loss range with BN is 4 times wider, 3 seeds"
    )


def test_what_is_not_decided_is_said_to_be_so():
    few = claim("loss-range", "inconclusive", seeds=1, brief="1 seed; 3 are needed")
    assert answer.answer([few]) == (
        "Nothing is decided yet. Along the gradient the loss range with BN is 2 times narrower, "
        "1 seed: inconclusive, 3 are needed"
    )
    assert answer.answer([claim("loss-range", "inconclusive")]).endswith("9 seeds would decide")
    assert answer.answer([claim("loss-range", "inconclusive", None)]) == ""
    assert answer.answer([]) == ""


def test_the_condition_is_named_where_there_are_several():
    found = [claim("loss-range"), claim("loss-range", condition="lr 0.5")]
    assert answer.answer(found).endswith("narrower, 3 seeds (lr 0.1)")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--norm=bn", "--lr=0.5"], "--norm=none,bn --seed=0,1,2 --lr=0.1"),
        (
            ["--seed", "7", "-norm", "bn", "--steps=9"],
            "--steps=9 --norm=none,bn --seed=0,1,2 --lr=0.1",
        ),
        (["--norm_last"], "--norm_last --norm=none,bn --seed=0,1,2 --lr=0.1"),
    ],
)
def test_the_command_that_would_decide(runs, words, expected):
    (run,) = read_runs(runs())
    start = ["python", "-m", "bnkit.main"]
    run.description["command"] = [*start, *words]
    assert answer.deciding_command(run) == f"{' '.join(start)} {expected}"
    # A rate at which it has been found to train is not raised.
    run.settings["lr"] = 0.05
    assert answer.deciding_command(run).endswith(" --lr=0.05")
    run.settings["norm"] = "l2"
    assert "--norm=none,l2 " in answer.deciding_command(run)
    run.settings["strategy"] = "multiworker"
    assert answer.deciding_command(run) == ""
    run.settings["strategy"] = "auto"
    assert answer.deciding_command(run)
    run.description["command"] = ["train.py", *words]
    assert answer.deciding_command(run) == ""


def test_one_line_says_what_was_compared(runs):
    for norm in ("none", "bn"):
        for seed in (0, 1):
            path = runs(norm=norm, seed=seed, lr=0.1, kinds=())
    found = read_runs(path.parent)
    heads = [
        {"norm": run.settings["norm"], "lr": 0.1, "seed": run.settings["seed"], "status": "done"}
        for run in found
    ]
    assert answer.compared(found, heads) == (
        "BN and none: vgg11 on glyphs, learning rate 0.1, 2 seeds; 4 runs, 4 done"
    )
    assert answer.compared(found[:1], heads[:1]).endswith("learning rate 0.1, 1 seed; done")
