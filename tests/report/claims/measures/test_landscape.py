"""Verdicts on made-up landscapes."""

import math

import made_up
import pytest
from asked import assert_effect, verdict

from bnkit.report.claims.measures import landscape
from bnkit.report.statistics.pairing import NotComparable

SEEDS = made_up.SEEDS
# Claim -> what it reads of a landscape.
FIELDS = {
    "loss-range": "loss_range",
    "gradient-predictiveness": "gradient_change",
    "smoothness": "smoothness",
}
MEASURES = {
    "loss-range": landscape.loss_range,
    "gradient-predictiveness": landscape.gradient_change,
    "smoothness": landscape.peak_smoothness,
}


def _landscapes(field, of, accuracy=0.9, **settings):
    """none and bn, with `of(norm, seed)` a number or a function of the step for one field."""

    def records(norm, seed):
        return [made_up.train(accuracy), made_up.landscape(**{field: of(norm, seed)})]

    return made_up.arms("none", "bn", records, **settings)


@pytest.mark.parametrize(("name", "field"), FIELDS.items())
def test_a_smoother_arm_is_told_from_a_rougher_one_by_the_log_ratio(name, field):
    rough = {"none": 6.0, "bn": 2.0}
    claim = verdict(_landscapes(field, lambda norm, seed: rough[norm] + seed), name)
    assert claim.verdict == "supported" and claim.arms == ("none", "bn")
    assert_effect(claim, [math.log((6 + seed) / (2 + seed)) for seed in SEEDS])
    swapped = {"none": 2.0, "bn": 6.0}
    claim = verdict(_landscapes(field, lambda norm, seed: swapped[norm] + seed), name)
    assert claim.verdict == "contradicted"
    assert_effect(claim, [math.log((2 + seed) / (6 + seed)) for seed in SEEDS])


@pytest.mark.parametrize(("name", "field"), FIELDS.items())
def test_the_first_hundred_steps_are_left_out(name, field):
    def of(norm, seed):
        late, early = {"none": (6.0, 2.0), "bn": (2.0, 1e3)}[norm]
        return lambda step: early if step < 100 else late

    claim = verdict(_landscapes(field, of), name)
    assert claim.effect == pytest.approx(math.log(3))
    # A regression: its loss has not halved, so that it has not trained.
    assert verdict(_landscapes(field, of, classes=None, steps=12_000), name).seeds == 0


def test_the_start_of_a_regression_is_a_hundredth_of_it():
    def records(norm, seed):
        late, early = {"none": (6.0, 2.0), "bn": (2.0, 100.0)}[norm]
        probes = made_up.landscape(lambda step: early if step < 40 else late)
        return [made_up.train(None, lambda step: 1e4 * 0.9**step), probes]

    claim = verdict(made_up.arms("none", "bn", records, classes=None, steps=4000), "loss-range")
    # Captures at 40 to 180: all after the start, though most of them are before step 100.
    assert claim.effect == pytest.approx(math.log(3))


def test_the_longer_start_of_two_arms_is_left_out():
    def trace(norm, early, late, steps):
        probes = made_up.landscape(*[lambda step: early if step < 100 else late] * 3)
        falling = made_up.train(None, lambda step: 1e4 * 0.9**step)
        return made_up.trace(norm, 0, falling, probes, classes=None, steps=steps)

    # Of 4000 steps the start is 40, of 10,000 it is 100.
    none, bn = trace("none", 1.0, 6.0, 4000), trace("bn", 1e3, 2.0, 10_000)
    for measure in MEASURES.values():
        assert measure(none, bn) == pytest.approx(math.log(3))
        assert measure(bn, none) == pytest.approx(-math.log(3))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss-range", "inf"),
        ("loss-range", "nan"),
        ("gradient-predictiveness", "inf"),
        ("gradient-predictiveness", "nan"),
        ("smoothness", "inf"),
    ],
)
def test_what_is_not_finite_counts_as_a_million_times_larger(name, value):
    field = FIELDS[name]
    claim = verdict(_landscapes(field, lambda norm, _: value if norm == "none" else 2.0), name)
    assert claim.verdict == "supported" and claim.effect == pytest.approx(math.log(1e6))
    claim = verdict(_landscapes(field, lambda *_: value), name)
    assert claim.verdict == "inconclusive" and claim.seeds == 0


def test_captures_that_are_unbounded_in_both_arms_do_not_count():
    def of(norm, seed):
        return lambda step: "inf" if step >= 140 else {"none": 6.0, "bn": 2.0}[norm]

    assert verdict(_landscapes("loss_range", of), "loss-range").effect == pytest.approx(math.log(3))


def test_one_spike_does_not_move_the_median_but_is_the_peak():
    def of(norm, seed):
        return lambda step: 900.0 if (norm, step) == ("none", 120) else 20.0

    assert verdict(_landscapes("loss_range", of), "loss-range").effect == 0
    claim = verdict(_landscapes("smoothness", of), "smoothness")
    assert claim.effect == pytest.approx(math.log(45)) and claim.verdict == "supported"


@pytest.mark.parametrize("name", [*FIELDS, "lp-smooths"])
@pytest.mark.parametrize(("accuracy", "state"), [(0.14, "done"), (0.9, "diverged")])
def test_an_arm_that_does_not_train_says_nothing_on_smoothness(name, accuracy, state):
    arm = "l2" if name == "lp-smooths" else "bn"
    runs = [
        made_up.run(arm, seed, made_up.train(0.9), made_up.landscape(3.0, 3.0, 3.0))
        for seed in SEEDS
    ]
    flat = (0.1, 0.1, 0.1)
    runs += [
        made_up.run("none", seed, made_up.train(accuracy), made_up.landscape(*flat), state=state)
        for seed in SEEDS
    ]
    claim = verdict(runs, name)
    assert claim.verdict == "inconclusive" and claim.effect is None and claim.seeds == 0


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("stuck", [0, 1])
def test_either_arm_may_be_the_one_that_did_not_train(name, stuck):
    traces = [made_up.trace("bn", 0, made_up.train(), made_up.landscape()) for _ in range(2)]
    traces[stuck] = made_up.trace("none", 0, made_up.train(0.1), made_up.landscape())
    with pytest.raises(NotComparable, match="norm=none did not train, and a flat landscape"):
        MEASURES[name](*traces)


def test_only_the_seeds_that_trained_are_judged():
    runs = []
    for seed in range(5):
        accuracy, loss_range = (0.1, 0.01) if seed in (1, 3) else (0.9, 6.0)
        probes = made_up.landscape(loss_range)
        runs.append(made_up.run("none", seed, made_up.train(accuracy), probes))
        runs.append(made_up.run("bn", seed, made_up.train(0.9), made_up.landscape(2.0)))
    claim = verdict(runs, "loss-range")
    assert claim.seeds == 3 and claim.effect == pytest.approx(math.log(3))


def test_lp_normalisations_are_compared_with_none():
    runs = []
    for seed in SEEDS:
        runs.append(made_up.run("none", seed, made_up.train(), made_up.landscape(6.0, 4.0, 8.0)))
        runs.append(made_up.run("l1", seed, made_up.train(), made_up.landscape(2.0, 4.0, 2.0)))
    claim = verdict(runs, "lp-smooths")
    assert claim.verdict == "supported" and claim.arms == ("none", "l1")
    assert claim.effect == pytest.approx(math.log(3))


def _in_time(norm, seed):
    """bn is rough at step 0 only; after the start both are far rougher."""
    first, then = {"bn": (60.0 + seed, 5.0), "none": (3.0, 10.0)}[norm]
    return lambda step: first if step == 0 else then if step < 100 else 1e4


def test_rough_at_start_reads_step_0_of_arms_that_need_not_train():
    claim = verdict(_landscapes("smoothness", _in_time, accuracy=0.1), "rough-at-start")
    assert claim.verdict == "supported" and claim.arms == ("bn", "none")
    assert_effect(claim, [math.log((60 + seed) / 3) for seed in SEEDS])


def test_the_rest_of_the_start_is_looked_at_without_step_0():
    bn, none = (
        made_up.trace(norm, 0, made_up.train(), made_up.landscape(smoothness=_in_time(norm, 0)))
        for norm in ("bn", "none")
    )
    assert landscape.early_smoothness(bn, none) == pytest.approx(math.log(0.5))


def test_captures_that_are_not_there_are_named():
    bn, none = (
        made_up.trace(norm, 0, made_up.train(), made_up.landscape(captures=(20, 40)))
        for norm in ("bn", "none")
    )
    with pytest.raises(NotComparable, match="no common capture before step 1"):
        landscape.first_smoothness(bn, none)
    with pytest.raises(NotComparable, match="no common capture from step 100 on"):
        landscape.loss_range(none, bn)
    lost = made_up.trace("bn", 0, made_up.train(), made_up.landscape(smoothness="inf"))
    with pytest.raises(NotComparable, match="neither value is finite"):
        landscape.peak_smoothness(lost, lost)
