"""What is said of runs and of claims on the terminal."""

import math

from bnkit.report.page import headlines
from bnkit.report.runs import read_runs


def test_a_classification_is_summed_up_by_its_accuracies(runs):
    path = runs(norm="bn", steps=60, kinds=("train", "eval"))
    (head,) = headlines.headlines(read_runs(path))
    assert headlines.sentence(head) == (
        f"{path.name} done: training accuracy {head['accuracy']:.1%} (mean of the last 50 steps), "
        f"test accuracy {head['test']:.1%}\n"
        "One run decides no claim; this study would: "
        "python -m bnkit.main --norm=none,bn --seed=0,1,2 --lr=0.1"
    )
    assert headlines.sentence({**head, "deciding_command": ""}).endswith(f"{head['test']:.1%}")


def test_what_was_not_recorded_is_nan(runs):
    (head,) = headlines.headlines(read_runs(runs(kinds=())))
    numbers = ("accuracy", "loss", "test", "test_loss", "early", "peak", "loss_range")
    assert all(math.isnan(head[name]) for name in numbers)
    assert headlines.sentence(head).partition("\n")[0].endswith("done: nothing measured")


def test_every_claim_with_a_number_has_a_line():
    claim = {
        "id": "loss-range",
        "verdict": "supported",
        "arms": ["none", "bn"],
        "condition": "vgg11, lr 0.1",
        "effect": 1.2345,
        "interval": [1.0, 1.5],
        "unit": "ln ratio",
        "seeds": 3,
        "brief": "the interval is above 0",
        **{"of_study": True, "question": "loss-range", "arm": "bn", "baseline": "none"},
    }
    few = "1 seed; 3 are needed"
    alone = {**claim, "verdict": "inconclusive", "interval": None, "seeds": 1, "brief": few}
    none = {"effect": None, "interval": None, "seeds": 0}
    missing = {**claim, **none, "id": "smoothness", "brief": "the arm did not train"}
    absent = {**claim, **none, "id": "lp-smooths", "brief": "no runs of l1, l2, linf"}
    assert headlines.verdicts([claim, alone, claim, missing, absent, missing]) == [
        "claims: 1 inconclusive, 2 supported",
        "  supported     loss-range, bn against none (vgg11, lr 0.1): 3.4 times narrower "
        "[2.7, 4.5], 3 seeds",
        "  inconclusive  loss-range, bn against none (vgg11, lr 0.1): 3.4 times narrower, 1 seed; "
        "3 are needed",
        "  supported     loss-range, bn against none (vgg11, lr 0.1): 3.4 times narrower "
        "[2.7, 4.5], 3 seeds",
        "  no number for: smoothness (the arm did not train); lp-smooths (no runs of l1, l2, linf)",
        "answer: Along the gradient the loss range with BN is 3.4 times narrower [2.7, 4.5], "
        "3 seeds",
    ]
    assert headlines.verdicts([missing])[0] == "claims: these runs decide none"


def test_the_scorecard_is_told_by_arm_and_baseline():
    def claim(question, arm, baseline, verdict="supported", effect=0.5, **fields):
        return {
            **{"question": question, "id": question, "arm": arm, "baseline": baseline},
            **{"verdict": verdict, "effect": effect, "interval": [0.25, 0.75], "unit": "ln ratio"},
            **{"condition": "vgg11, lr 0.1", "of_study": False, "seeds": 3, "p": 0.5},
            **{"brief": "the arm did not train", "arms": [arm, baseline], **fields},
        }

    found = [
        claim("faster-training", "rms", "none"),
        claim("trains-as-well", "rms", "none"),
        claim("loss-range", "rms", "none", "inconclusive", None, p=None),
        claim("smoothness", "rms", "none", "inconclusive", None, p=None),
        claim("smoothness", "bn", "none", "supported", 0.5),
        claim("rough-at-start", "rms", "none", "contradicted", -0.5, interval=None),
        claim("faster-training", "rms", "l1", "inconclusive", None, condition="", p=None),
    ]
    assert headlines.verdicts(found) == [
        "claims: these runs decide none",
        "scorecard: 4 comparisons at once; p-values are in claims.json",
        "  rms against none (vgg11, lr 0.1)",
        "    supported     faster-training 1.6 times lower [1.3, 2.1], trains-as-well "
        "1.6 times lower [1.3, 2.1]",
        "    contradicted  rough-at-start 1.6 times lower",
        "    no number for: smoothness (the arm did not train)",
        "  bn against none (vgg11, lr 0.1)",
        "    supported     smoothness 1.6 times lower [1.3, 2.1]",
        "  no arm (vgg11, lr 0.1) has a number for: loss-range (the arm did not train)",
        "  rms against l1: no runs with the same settings",
        "answer: The largest effective β-smoothness with BN is 1.6 times lower [1.3, 2.1], 3 seeds",
    ]
