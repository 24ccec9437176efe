"""What is compared with what, and what a reason tells."""

import dataclasses
import itertools
import json
import math
import random

import made_up
import pytest
from asked import assert_effect, general, verdict, verdicts

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
    assert "noisy BN - none" not in claim.reason
    claim = verdict(_levels({"bn": 0.9, "noisy_bn": 0.9, "none": 0.4}), "noise-does-not-hurt")
    assert "noisy BN - none: 0.5 [0.5, 0.5]" in claim.reason.split("; ")


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


def _by_seed(levels, **settings):
    """Runs whose accuracy is constant: a level for every seed of every arm."""
    return [
        made_up.run(norm, seed, made_up.train(level), **settings)
        for norm, by_seed in levels.items()
        for seed, level in zip(SEEDS, by_seed, strict=False)
    ]


THREE = {"none": (0.5, 0.5, 0.5), "bn": (0.9, 0.9, 0.9), "own:Layer": (0.8, 0.9, 1.0)}


def test_every_arm_is_held_against_every_baseline_once():
    assert claims.comparisons(["bn", "own:Layer", "none", "l1"]) == [
        *(("bn", "none"), ("l1", "none"), ("own:Layer", "none")),
        *(("l1", "bn"), ("own:Layer", "bn")),
    ]
    assert claims.comparisons(["bn", "own:Layer", "none"], ["own:Layer"]) == [
        ("none", "own:Layer"),
        ("bn", "own:Layer"),
    ]
    # The order is that of the baselines; those that are not there are passed over.
    assert claims.comparisons(["bn", "none"], ["bn", "rms", "none"]) == [("none", "bn")]
    assert claims.comparisons(["rms", "l1"]) == claims.comparisons(["bn"]) == []
    assert claims.comparisons([None, "none"]) == []


def test_a_general_claim_is_measured_by_hand():
    own, own_bn = [
        claim for claim in general(_by_seed(THREE), "faster-training") if claim.arm == "own:Layer"
    ]
    assert_effect(own, [0.3, 0.4, 0.5])
    assert (own.verdict, own.arms, own.baseline) == ("supported", ("own:Layer", "none"), "none")
    assert own.claim == "With own:Layer a network trains faster than with none."
    assert "of own:Layer - that of none" in own.formula
    # Two degrees of freedom: t = 0.4 / (0.1 / sqrt(3)).
    t = 0.4 / (0.1 / math.sqrt(3))
    assert own.p == pytest.approx(1 - t / math.sqrt(2 + t**2))
    # The seeds are -0.1, 0 and 0.1 from bn: no number decides.
    assert_effect(own_bn, [-0.1, 0.0, 0.1])
    assert (own_bn.verdict, own_bn.p, own_bn.baseline) == ("inconclusive", 1.0, "bn")


def test_the_baseline_is_the_first_arm_of_a_landscape():
    def records(norm, seed):
        return [made_up.train(), made_up.landscape({"none": 8.0, "rms": 2.0}[norm])]

    runs = made_up.arms("none", "rms", records)
    (claim,) = general(runs, "loss-range")
    assert (claim.arms, claim.arm, claim.baseline) == (("none", "rms"), "rms", "none")
    assert claim.effect == pytest.approx(math.log(4)) and claim.verdict == "supported"
    assert claim.claim == "Along the gradient the loss varies less with RMS norm than with none."
    # The other way round.
    (claim,) = general(runs, "loss-range", baselines=["rms"])
    assert claim.effect == pytest.approx(-math.log(4)) and claim.verdict == "contradicted"


def test_what_the_study_asks_itself_is_not_listed_twice():
    levels = {norm: (0.5, 0.6, 0.7) for norm in ("none", "bn", "noisy_bn", "l1")}
    found = claims.evaluate(_by_seed(levels))
    asked = [(one.question, one.arm, one.baseline) for one in found if one.arm and one.baseline]
    assert len(set(asked)) == len(asked)
    pairs = claims.comparisons(levels)
    # All questions of all pairs, the study's own among them.
    assert set(asked) == {
        (general.question.id, arm, baseline)
        for general in claims.GENERAL
        for arm, baseline in pairs
    }
    own = {(one.id, one.arm, one.baseline) for one in found if one.of_study and one.arm}
    assert {("lp-smooths", "l1", "none"), ("noise-does-not-hurt", "noisy_bn", "bn")} <= own
    assert [one.id for one in found if one.of_study] == IDS


def test_the_study_s_claims_are_the_same_whatever_the_baselines():
    runs = _everything(random.Random(3), ("none", "bn", "l1"))
    plain = [one for one in claims.evaluate(runs) if one.of_study]
    other = [one for one in claims.evaluate(runs, ["l1"]) if one.of_study]
    # But for how many comparisons there are.
    assert [dataclasses.replace(one, p_holm=None) for one in plain] == [
        dataclasses.replace(one, p_holm=None) for one in other
    ]


def test_p_values_are_adjusted_over_the_whole_report():
    found = claims.evaluate(_by_seed({**THREE, "bn": (0.9, 0.8, 0.95)}))
    tested = sorted((one for one in found if one.p is not None), key=lambda one: one.p)
    assert len(tested) > 3
    least = 0.0
    for rank, claim in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - rank) * claim.p))
        assert claim.p_holm == pytest.approx(least)
    # The verdicts do not change with it.
    (faster,) = [one for one in found if one.id == "faster-training" and one.arm == "bn"]
    assert faster.verdict == "supported"


def test_seeds_that_are_all_equal_have_no_p_value():
    (claim,) = general(_levels({"none": 0.5, "rms": 0.9}), "faster-training")
    assert claim.verdict == "supported" and claim.p is claim.p_holm is None


def test_an_inconclusive_claim_says_how_many_seeds_would_decide_it():
    def asked(*differences):
        levels = {"none": (0.4, 0.4, 0.4), "rms": [0.4 + one for one in differences]}
        (claim,) = general(_by_seed(levels), "faster-training")
        return claim

    # Deviation and mean 0.1: 7 seeds, as in the printed tables (`test_student`).
    seven = asked(0.0, 0.1, 0.2)
    assert (seven.verdict, seven.seeds_needed) == ("inconclusive", 7)
    assert seven.brief == "7 seeds would decide"
    assert seven.reason.split("; ")[-1] == "with this mean and spread 7 seeds would decide"
    many = asked(-0.1, 0.01, 0.1)
    assert many.seeds_needed is None and many.brief == "more than 100 seeds would decide"
    same = asked(0.0, 0.0, 0.0)
    assert same.seeds_needed is None and same.brief == "there is no difference at any seed"
    decided = asked(0.3, 0.31, 0.32)
    assert decided.seeds_needed is None and "would decide" not in decided.reason


@pytest.mark.parametrize(
    ("levels", "name", "brief"),
    [
        ({"rms": (0.1, 0.1, 0.1), "none": (0.9, 0.9, 0.9)}, "loss-range", "the arm did not train"),
        (
            {"rms": (0.9, 0.9, 0.9), "none": (0.1, 0.1, 0.1)},
            "loss-range",
            "the baseline did not train",
        ),
        ({"rms": (0.1, 0.1, 0.1), "none": (0.1, 0.1, 0.1)}, "faster-training", "neither trained"),
        ({"rms": (0.9, 0.9), "none": (0.5, 0.5)}, "faster-training", "2 seeds; 3 are needed"),
        ({"rms": (0.9,), "none": (0.5, 0.5)}, "faster-training", "1 seed; 3 are needed"),
        (
            {"rms": (0.9, 0.9, 0.9), "none": (0.9, 0.9, 0.1)},
            "trains-as-well",
            "2 seeds; 3 are needed (1 more: the baseline did not train)",
        ),
        (
            {"rms": (0.9, 0.9, 0.9), "none": (0.9, 0.9, 0.9)},
            "ics-not-reduced",
            "no ics records",
        ),
        (
            {"rms": (0.9, 0.9, 0.9), "none": (0.9, 0.9, 0.9)},
            "larger-learning-rates",
            "fewer than two common learning rates",
        ),
    ],
)
def test_a_missing_verdict_has_a_reason_that_is_true_and_short(levels, name, brief):
    (claim,) = general(_by_seed(levels), name)
    assert (claim.verdict, claim.brief) == ("inconclusive", brief)


def test_arms_that_never_meet_say_so():
    runs = [made_up.run("none", seed, made_up.train(0.5)) for seed in SEEDS]
    runs += [made_up.run("rms", seed, made_up.train(0.9), width=2.0) for seed in SEEDS]
    (claim,) = general(runs, "faster-training")
    assert (claim.seeds, claim.condition, claim.verdict) == (0, "", "inconclusive")
    assert claim.brief == "no runs with the same settings"
    runs = [made_up.run("none", 0, made_up.train(0.5)), made_up.run("rms", 1, made_up.train(0.9))]
    (claim,) = general(runs, "faster-training")
    assert claim.brief == "no common seed"


def test_a_claim_of_the_study_without_its_arms_names_the_runs_that_are_missing():
    by_id = {one.id: one.brief for one in claims.evaluate(_levels({"none": 0.5, "bn": 0.9}))}
    assert by_id["noise-does-not-hurt"] == "no runs of noisy_bn"
    assert by_id["lp-smooths"] == "no runs of l1, l2, linf"
    assert by_id["loss-range"] == "no landscape records"
    assert {one.brief for one in claims.evaluate([]) if one.id == "loss-range"} == {
        "no runs of none, bn"
    }
