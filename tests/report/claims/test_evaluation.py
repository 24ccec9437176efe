"""What is compared with what, and what a reason tells."""

import dataclasses
import itertools
import json
import math
import random

import made_up
import pytest
from asked import verdict, verdicts

from bnkit.report import claims
from bnkit.report.runs import read_runs

SEEDS = made_up.SEEDS
IDS = [question.id for question in claims.QUESTIONS]


def _levels(levels):
    return [
        made_up.run(norm, seed, made_up.train(level))
        for norm, level in levels.items()
        for seed in SEEDS
    ]


def test_claims_without_their_arms_say_what_is_missing():
    found = claims.evaluate(_levels({"l1": 0.9, "rms": 0.9}))
    assert [one.id for one in found] == IDS
    assert {one.verdict for one in found} == {"inconclusive"}
    assert {(one.effect, one.interval, one.seeds, one.arms) for one in found} == {
        (None, None, 0, ())
    }
    by_id = {one.id: one for one in found}
    same = "with the same settings; found l1, rms"
    assert by_id["loss-range"].reason == f"needs norm=none and norm=bn {same}"
    assert by_id["theorem-4.1"].reason == "needs norm=bn; found l1, rms"
    lp = by_id["lp-smooths"]
    assert lp.reason.startswith("needs norm=none and norm=l1 or norm=none and norm=l2 or")
    assert "normalisation Lp than without" in lp.claim
    assert "range of none / range of Lp" in lp.formula
    assert [one.id for one in claims.evaluate([])] == IDS
    assert claims.evaluate([])[0].reason.endswith("found no runs")


def test_every_condition_has_its_own_verdict():
    runs = []
    for lr, bn in ((0.1, 0.9), (0.5, 0.2)):
        levels = {"bn": bn, "none": 0.5}
        runs += made_up.arms(
            "none", "bn", lambda norm, _, levels=levels: [made_up.train(levels[norm])], lr=lr
        )

    def regression(norm, _):
        rate = {"bn": 20, "none": 80}[norm]
        return [made_up.train(None, lambda step: math.exp(-step / rate))]

    runs += made_up.arms("none", "bn", regression, classes=None, lr=1e-6)
    found = {one.condition: one.verdict for one in verdicts(runs, "faster-training")}
    assert found == {
        "vgg11, glyphs, lr 0.1": "supported",
        "vgg11, glyphs, lr 0.5": "contradicted",
        "dln, gaussian, lr 1e-06": "supported",
    }


def test_asides_are_in_the_reason_where_their_arms_are_there():
    claim = verdict(_levels({"bn": 0.9, "noisy_bn": 0.9}), "noise-does-not-hurt")
    assert "noisy_bn - none" not in claim.reason
    claim = verdict(_levels({"bn": 0.9, "noisy_bn": 0.9, "none": 0.4}), "noise-does-not-hurt")
    assert "noisy_bn - none: 0.5 [0.5, 0.5]" in claim.reason.split("; ")


def test_an_aside_without_numbers_says_so():
    def records(norm, seed):
        probes = made_up.landscape({"none": 6.0, "l1": 2.0}[norm], "nan", 5.0)
        return [made_up.train(), probes]

    claim = verdict(made_up.arms("none", "l1", records), "lp-smooths")
    assert claim.verdict == "supported"
    assert "the same of the change of the gradient: cannot be compared" in claim.reason
    assert "the same of the peak smoothness: 0 [0, 0]" in claim.reason


def test_an_aside_with_limits_must_come_to_the_same_verdict():
    records = list(made_up.batch_norm_identity(0.3, 1e-6, 1e-6))
    runs = [made_up.run("bn", seed, records) for seed in SEEDS]
    claim = verdict(runs, "theorem-4.1")
    assert claim.verdict == "inconclusive" and claim.effect == 0.3
    assert claim.reason.startswith("would be contradicted, but the median does not agree; ")
    assert "median: 1e-06" in claim.reason


def test_logarithms_are_read_as_factors():
    def of_loss(norm, _, ratio):
        return [made_up.train(), made_up.landscape({"none": ratio, "bn": 1.0}[norm])]

    for ratio, expected in ((4.0, "a factor of 4"), (1e9, "a factor of 1e+06 (no ratio counts")):
        runs = made_up.arms("none", "bn", lambda *arm, ratio=ratio: of_loss(*arm, ratio))
        assert expected in verdict(runs, "loss-range").reason
    assert "factor" not in verdict(_levels({"bn": 0.9, "none": 0.5}), "faster-training").reason
    at = {("bn", 0.1): 0.9, ("bn", 1.6): 0.9, ("none", 0.1): 0.9, ("none", 1.6): 0.1}
    runs = [
        made_up.run(norm, seed, made_up.train(level), lr=lr)
        for (norm, lr), level in at.items()
        for seed in SEEDS
    ]
    assert "a factor of 16" in verdict(runs, "larger-learning-rates").reason


def test_only_ratios_that_are_cut_off_are_called_so():
    def records(norm, _):
        rate = {"bn": 1.0, "none": 200.0}[norm]
        return [made_up.train(None, lambda step: 1e80 * math.exp(-step / rate))]

    claim = verdict(made_up.arms("none", "bn", records, classes=None), "faster-training")
    # A difference of log losses, beyond ln(1e6), which nothing cuts off.
    assert claim.effect > 14 and "no ratio counts for more" not in claim.reason


def test_what_was_not_recorded_is_named():
    def reason(records, name, **settings):
        runs = made_up.arms("none", "bn", lambda *_: records(), **settings)
        return verdict(runs, name).reason

    def bare():
        return [made_up.train()]

    for name, kind in (
        ("loss-range", "landscape"),
        ("rough-at-start", "landscape"),
        ("ics-not-reduced", "ics"),
        ("theorem-4.1", "batch_norm_identity"),
    ):
        assert f'no records of kind "{kind}"' in reason(bare, name)
    assert "no training accuracy on record" in reason(lambda: [made_up.landscape()], "loss-range")
    probed = [*made_up.train(), *made_up.landscape()]
    unknown = reason(lambda: [probed], "loss-range", classes=1)
    assert "number of classes is not known" in unknown


def test_the_order_of_the_runs_does_not_matter():
    runs = _everything(random.Random(1), ("none", "bn"))
    shuffled = random.Random(2).sample(runs, len(runs))
    assert claims.evaluate(shuffled) == claims.evaluate(runs)


def test_of_two_runs_with_the_same_settings_the_last_by_name_counts():
    runs = _levels({"bn": 0.9, "none": 0.5})
    again = made_up.run("bn", 0, made_up.train(0.6))
    again = dataclasses.replace(again, description={**again.description, "run": "zzz"})
    claim = verdict([again, *runs], "faster-training")
    assert claim.seeds == 3 and claim.effect == pytest.approx((0.1 + 0.4 + 0.4) / 3)


def _group(kind, choice, number):
    """Records of one kind, with numbers from `number`."""
    if kind == "train":
        return made_up.train(number(), number(), choice.randrange(1, made_up.STEPS))
    if kind == "landscape":
        return made_up.landscape(number(), number(), number())
    if kind == "ics":
        return made_up.ics(lambda _: choice.uniform(0, 1), lambda _: choice.uniform(-1, 1))
    if kind == "activations":
        return made_up.activations(number(), number())
    return made_up.batch_norm_identity(number(), 1e-5)


NUMBERS = (0.0, 1.0, 1e300, "inf", "nan", "-inf")
KINDS = ("landscape", "ics", "activations", "batch_norm_identity")


def _everything(choice, norms):
    """Runs of many arms that trained, with records of every kind."""
    return [
        made_up.run(
            norm,
            seed,
            made_up.train(0.9, lambda step: 2.0**-step),
            *(_group(kind, choice, lambda: choice.uniform(0.5, 2)) for kind in KINDS),
            lr=lr,
        )
        for norm, seed, lr in itertools.product(norms, SEEDS, (0.1, 0.5))
    ]


def _strange(choice, norms):
    """Runs with kinds, seeds, steps and numbers missing at random."""
    runs = []
    for norm, seed, lr in itertools.product(norms, SEEDS, (0.1, 0.5)):
        if choice.random() < 0.3:
            continue
        kinds = choice.sample(("train", *KINDS), choice.randrange(6))
        groups = [
            list(
                _group(kind, choice, lambda: choice.choice((0.0, 1.0, 1e300, "inf", "nan", "-inf")))
            )
            for kind in kinds
        ]
        groups = [group[: choice.randrange(len(group) + 1)] for group in groups]
        state = choice.choice(("done", "diverged", "running", "unknown"))
        classes = choice.choice((10, None))
        runs.append(made_up.run(norm, seed, *groups, lr=lr, classes=classes, state=state))
    return runs


@pytest.mark.parametrize("seed", range(6))
def test_no_input_is_too_strange(seed):
    choice = random.Random(seed)
    norms = choice.sample(("none", "bn", "noisy_bn", "noisy_none", "l1", "linf"), 4)
    found = claims.evaluate(_strange(choice, norms))
    assert {one.id for one in found if one.of_study} == set(IDS)
    for claim in found:
        assert claim.brief and (claim.p is None) == (claim.p_holm is None)
        json.dumps(claim.to_dict(), allow_nan=False)
        assert claim.reason and claim.verdict in ("supported", "contradicted", "inconclusive")
        assert claim.verdict == "inconclusive" or claim.seeds >= 3
        assert claim.effect is None or math.isfinite(claim.effect)


def test_runs_on_disk_are_judged_alike(runs):
    for norm in ("none", "bn"):
        for seed in SEEDS:
            runs(norm=norm, seed=seed, lr=0.1, kinds=("train", "landscape"))
    found = {one.id: one for one in claims.evaluate(read_runs(runs.root))}
    assert found["faster-training"].verdict == "supported"
    assert found["loss-range"].verdict == "supported"
    assert found["loss-range"].condition == "vgg11, glyphs, lr 0.1"
    assert found["noise-shifts-inputs"].verdict == "inconclusive"
