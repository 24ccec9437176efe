"""Verdicts on made-up runs whose truth is known."""

import itertools
import json
import math
import pathlib
import random

import numpy
import pytest

from bnkit.report import claims
from bnkit.report.claims import measures
from bnkit.report.runs import Run, read_runs
from bnkit.report.statistics import bootstrap

LAYERS = ("conv1", "conv2", "conv3")
SIZES = [0.1, 0.2, 0.4]
SEEDS = (0, 1, 2)
STEPS = 200
CAPTURES = range(0, STEPS, 20)


def run(norm, seed=0, *groups, lr=0.1, state="done", classes=10, study="s", **settings):
    """A `Run` of records without a directory."""
    settings = {
        "norm": norm,
        "lr": lr,
        "seed": seed,
        "model": "dln" if classes is None else "vgg11",
        "dataset": "gaussian" if classes is None else "glyphs",
        "steps": STEPS,
        "step_sizes": SIZES,
        **settings,
    }
    name = f"{norm}-{lr}-{seed}"
    description = {"study": study, "run": name, "settings": settings, "data": {"classes": classes}}
    records = {}
    for number, record in enumerate(itertools.chain.from_iterable(groups)):
        records.setdefault(record["kind"], []).append((number, record))
    return Run(pathlib.Path(name), description, {"status": state}, records)


def train(accuracy=0.9, loss=1.0, steps=STEPS):
    """Records of constant values, or of a function of the step."""
    values = [one if callable(one) else lambda _, one=one: one for one in (accuracy, loss)]
    for step in range(steps):
        fields = {"accuracy": values[0](step), "loss": values[1](step)}
        fields = {name: value for name, value in fields.items() if value is not None}
        yield {"step": step, "kind": "train", **fields}


def landscape(width=1.0, change=1.0, beta=10.0, captures=CAPTURES):
    """`width` and the others: numbers, or functions of the step."""
    values = [one if callable(one) else lambda _, one=one: one for one in (width, change, beta)]
    for step in captures:
        width, change, beta = (value(step) for value in values)
        losses = [2.0, 1.0, width if isinstance(width, str) else 1.0 + width]
        if not isinstance(width, str) and width < 1:
            losses[0] = 1.0
        yield {
            "step": step,
            "kind": "landscape",
            "loss": 1.0,
            "gradient_norm": 1.0,
            "step_sizes": SIZES,
            "losses": losses,
            "gradient_distances": [0.0, 0.0, change],
            "smoothness": beta,
        }


def shifts(relative, cosine, captures=CAPTURES, layers=LAYERS):
    for step in captures:
        yield {
            "step": step,
            "kind": "ics",
            "layers": list(layers),
            "l2": [0.0, *(3.0 * relative(step) for _ in layers[1:])],
            "cosine": [1.0, *(cosine(step) for _ in layers[1:])],
            "gradient_norm": [3.0] * len(layers),
        }


def activations(mean_change, variance_change=0.0, variance=4.0, captures=CAPTURES):
    for step in captures:
        yield {
            "step": step,
            "kind": "activations",
            "layers": list(LAYERS),
            "units": [7, 8, 9],
            "mean": [0.0] * 3,
            "variance": [variance] * 3,
            "mean_change": [1e9 if step == 0 else mean_change] * 3,
            "variance_change": [variance_change] * 3,
            "mean_drift": [0.0] * 3,
            "variance_drift": [0.0] * 3,
        }


def identity(*differences, captures=(0, 20), left=1.0, right=1.0001):
    for step in captures:
        yield {
            "step": step,
            "kind": "batch_norm_identity",
            "layers": [f"norm{number}" for number, _ in enumerate(differences)],
            "left": [left] * len(differences),
            "right": [right] * len(differences),
            "relative_difference": list(differences),
            "gradient_ratio": [1.0] * len(differences),
        }


def verdicts(runs, name):
    """What comes out for one claim, without the time that the others take."""
    with pytest.MonkeyPatch.context() as patch:
        asked = [question for question in claims.QUESTIONS if question.id == name]
        patch.setattr(claims, "QUESTIONS", asked)
        return claims.evaluate(runs)


def verdict(runs, name):
    (only,) = verdicts(runs, name)
    return only


def arms_of(one, other, records, seeds=SEEDS, **settings):
    """Two arms of runs: `records(norm, seed)` gives the groups of records of each."""
    return [
        run(norm, seed, *records(norm, seed), **settings) for norm in (one, other) for seed in seeds
    ]


def assert_effect(claim, values):
    assert claim.effect == pytest.approx(numpy.mean(values), rel=1e-9, abs=1e-12)
    assert claim.interval == pytest.approx(bootstrap.interval(values), rel=1e-9, abs=1e-12)
    assert claim.seeds == len(values)


# --- training -----------------------------------------------------------------------------------


def test_faster_training_is_the_mean_difference_of_accuracy_by_seed():
    level = {("bn", 0): 0.8, ("bn", 1): 0.7, ("bn", 2): 0.9}
    level |= {("none", 0): 0.3, ("none", 1): 0.4, ("none", 2): 0.35}
    runs = arms_of("none", "bn", lambda norm, seed: [train(level[norm, seed])])
    claim = verdict(runs, "faster-training")
    assert claim.verdict == "supported" and claim.arms == ("bn", "none")
    assert claim.unit == "accuracy" and claim.condition == "vgg11, glyphs, lr 0.1"
    assert_effect(claim, [0.5, 0.3, 0.55])


def test_faster_training_is_contradicted_where_bn_is_slower():
    rates = {"bn": 300, "none": 100}
    runs = arms_of(
        "none",
        "bn",
        lambda norm, seed: [train(lambda step: 0.1 + 0.9 * min(1, step / (rates[norm] + seed)))],
    )
    claim = verdict(runs, "faster-training")
    assert claim.verdict == "contradicted"
    assert claim.interval[1] < 0 and "below 0" in claim.reason


def test_seeds_that_disagree_leave_it_open():
    level = {("bn", 0): 0.8, ("bn", 1): 0.5, ("bn", 2): 0.6}
    runs = arms_of("none", "bn", lambda norm, seed: [train(level.get((norm, seed), 0.6))])
    claim = verdict(runs, "faster-training")
    assert claim.verdict == "inconclusive" and "the interval contains 0" in claim.reason
    assert claim.interval[0] < 0 < claim.interval[1]


def test_arms_that_are_equal_tie():
    claim = verdict(arms_of("none", "bn", lambda *_: [train(0.8)]), "faster-training")
    assert (claim.verdict, claim.effect, claim.interval) == ("inconclusive", 0.0, (0.0, 0.0))
    assert "no difference at any seed" in claim.reason


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_seeds_never_decide(count):
    runs = arms_of(
        "none", "bn", lambda norm, _: [train({"bn": 0.9, "none": 0.5}[norm])], range(count)
    )
    claim = verdict(runs, "faster-training")
    assert claim.verdict == "inconclusive" and claim.seeds == count and claim.interval is None
    assert claim.effect == pytest.approx(0.4)
    assert "a verdict needs 3" in claim.reason


def test_seeds_without_a_partner_are_left_out_and_named():
    def records(norm, _):
        return [train({"bn": 0.9, "none": 0.5}[norm])]

    alone = [run("bn", 7, train(0.1)), run("none", 8, train(1.0))]
    runs = [*arms_of("none", "bn", records), *alone]
    claim = verdict(runs, "faster-training")
    assert claim.seeds == 3 and claim.effect == pytest.approx(0.4)
    assert "seed 7: there is no run of norm=none" in claim.reason
    assert "seed 8: there is no run of norm=bn" in claim.reason


def test_arms_of_unequal_length_are_compared_on_their_common_steps():
    def records(norm, _):
        if norm == "none":
            return [train(0.5, steps=50)]
        return [train(lambda step: 0.6 if step < 50 else 1.0)]

    claim = verdict(arms_of("none", "bn", records, state="interrupted"), "faster-training")
    assert claim.effect == pytest.approx(0.1) and claim.verdict == "supported"
    assert "the arms end at different steps" in claim.reason


def test_a_run_that_diverged_counts_as_untrained_from_there_on():
    runs = [run("bn", seed, train(0.6)) for seed in SEEDS]
    runs += [run("none", seed, train(0.7, steps=50), state="diverged") for seed in SEEDS]
    claim = verdict(runs, "faster-training")
    # 0.6 against 0.7 over 50 steps, and against guessing among 10 classes over the other 150.
    assert claim.effect == pytest.approx((50 * -0.1 + 150 * 0.5) / 200)
    assert "norm=none diverged" in claim.reason and "diverged counts as untrained" in claim.formula


def test_two_arms_that_do_not_train_say_nothing_on_speed():
    runs = arms_of("none", "bn", lambda norm, _: [train({"bn": 0.13, "none": 0.1}[norm])])
    claim = verdict(runs, "faster-training")
    assert claim.verdict == "inconclusive" and claim.seeds == 0 and claim.effect is None
    assert "seeds 0, 1, 2: neither norm=bn nor norm=none trained" in claim.reason


def test_a_regression_is_compared_by_its_log_loss():
    def records(norm, seed):
        rate = {"bn": 40, "none": 80}[norm] + seed
        return [train(None, lambda step: 5e4 * math.exp(-step / rate))]

    claim = verdict(arms_of("none", "bn", records, classes=None), "faster-training")
    steps = numpy.arange(STEPS)
    expected = [numpy.mean(steps / (40 + seed) - steps / (80 + seed)) for seed in SEEDS]
    assert claim.verdict == "supported" and claim.unit == "ln ratio"
    assert "-ln(training loss)" in claim.formula
    assert_effect(claim, expected)


def _by_lr(trained, seeds=SEEDS):
    """Runs at every learning rate of `{norm: {lr: whether it trains}}`."""
    return [
        run(norm, seed, train(0.9 if works else 0.1), lr=lr)
        for norm, lrs in trained.items()
        for lr, works in lrs.items()
        for seed in seeds
    ]


def test_the_largest_learning_rate_that_trains_is_compared():
    trained = {
        "bn": {0.1: True, 0.5: True, 1.6: True, 9.0: True},
        "none": {0.1: True, 0.2: True, 0.5: False, 1.6: False},
    }
    claim = verdict(_by_lr(trained), "larger-learning-rates")
    # 0.2 and 9 were measured for one arm only.
    assert claim.effect == pytest.approx(4.0) and claim.verdict == "supported"
    assert claim.condition == "vgg11, glyphs, lr 0.1…9 (5)"
    assert "a factor of 16" in claim.reason
    swapped = {"bn": trained["none"], "none": trained["bn"]}
    claim = verdict(_by_lr(swapped), "larger-learning-rates")
    assert claim.effect == pytest.approx(-4.0) and claim.verdict == "contradicted"


def test_an_arm_that_trains_at_no_learning_rate_counts_with_the_smallest():
    trained = {"bn": {0.1: True, 0.4: True}, "none": {0.1: False, 0.4: False}}
    claim = verdict(_by_lr(trained), "larger-learning-rates")
    assert claim.effect == pytest.approx(2.0) and claim.verdict == "supported"


@pytest.mark.parametrize(
    ("trained", "reason"),
    [
        ({"bn": {0.1: True, 1: True}, "none": {0.1: True, 1: True}}, "measure others"),
        ({"bn": {0.1: False, 1: False}, "none": {0.1: False, 1: False}}, "neither arm trained"),
        ({"bn": {0.1: True, 1: True}, "none": {0.1: True}}, "fewer than two learning rates"),
        ({"bn": {0.1: True}, "none": {0.1: True}}, "fewer than two learning rates"),
    ],
)
def test_learning_rates_that_cannot_tell(trained, reason):
    claim = verdict(_by_lr(trained), "larger-learning-rates")
    assert claim.verdict == "inconclusive" and reason in claim.reason


def test_a_learning_rate_that_may_yet_train_does_not_count():
    trained = {"bn": {0.1: True, 1: True}, "none": {0.1: True}}
    runs = _by_lr(trained) + [
        run("none", seed, train(0.1), lr=1.0, state="running") for seed in SEEDS
    ]
    assert "fewer than two" in verdict(runs, "larger-learning-rates").reason


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((0.96, 0.97, 0.95), "supported"),  # worse by a little, at every seed
        ((0.5, 0.52, 0.51), "contradicted"),
        ((0.99, 0.95, 0.87), "inconclusive"),
        ((0.10, 0.11, 0.10), "contradicted"),  # does not train at all
    ],
)
@pytest.mark.parametrize("arm", ["noisy_bn", "l1"])
def test_as_well_means_no_more_than_a_margin_worse_at_the_end(levels, expected, arm):
    def records(norm, seed):
        end = levels[seed] if norm == arm else 0.98
        return [train(lambda step: end if step >= 180 else 0.3)]

    name = "noise-does-not-hurt" if arm == "noisy_bn" else "lp-trains-as-well"
    claim = verdict(arms_of("bn", arm, records), name)
    assert claim.verdict == expected and claim.arms == (arm, "bn")
    assert_effect(claim, [level - 0.98 for level in levels])


def test_as_well_as_an_arm_that_does_not_train_says_nothing():
    claim = verdict(arms_of("bn", "noisy_bn", lambda *_: [train(0.1)]), "noise-does-not-hurt")
    assert claim.verdict == "inconclusive" and "norm=bn did not train" in claim.reason


def test_noisy_bn_is_compared_with_none_in_the_reason():
    levels = {"bn": 0.9, "noisy_bn": 0.9, "none": 0.4}
    runs = [run(norm, seed, train(levels[norm])) for norm in levels for seed in SEEDS]
    claim = verdict(runs, "noise-does-not-hurt")
    assert "noisy_bn - none: 0.5 [0.5, 0.5]" in claim.reason


@pytest.mark.parametrize(("factor", "expected"), [(1.2, "supported"), (4.0, "contradicted")])
def test_in_a_regression_as_well_means_within_a_factor_of_two(factor, expected):
    def records(norm, seed):
        end = 500 * (factor if norm == "linf" else 1) * (1 + seed / 100)
        return [train(None, lambda step: 5e4 if step < 100 else end)]

    claim = verdict(arms_of("bn", "linf", records, classes=None), "lp-trains-as-well")
    assert claim.verdict == expected and claim.effect == pytest.approx(-math.log(factor))


def test_there_is_an_entry_for_every_lp_that_was_run():
    runs = [run(norm, seed, train(0.9)) for norm in ("bn", "l2", "linf") for seed in SEEDS]
    found = verdicts(runs, "lp-trains-as-well")
    assert [one.arms for one in found] == [("l2", "bn"), ("linf", "bn")]
    assert [one.claim for one in found] == [
        "Normalisation l2 trains about as well as BN.",
        "Normalisation linf trains about as well as BN.",
    ]


@pytest.mark.parametrize(
    ("level", "expected"), [(0.1, "supported"), (0.8, "contradicted"), (0.3, "inconclusive")]
)
def test_noise_stops_a_network_only_if_hardly_any_progress_is_left(level, expected):
    runs = arms_of(
        "none",
        "noisy_none",
        lambda norm, seed: [train(0.91 if norm == "none" else level + seed / 1000)],
    )
    claim = verdict(runs, "noise-stops-standard")
    assert claim.verdict == expected
    assert_effect(claim, [1 - (level + seed / 1000 - 0.1) / 0.81 for seed in SEEDS])


def test_noise_cannot_stop_what_does_not_train():
    claim = verdict(arms_of("none", "noisy_none", lambda *_: [train(0.1)]), "noise-stops-standard")
    assert claim.verdict == "inconclusive" and "there was nothing to stop" in claim.reason


def test_noise_that_makes_the_loss_infinite_has_stopped_it():
    runs = [run("none", seed, train(0.9)) for seed in SEEDS]
    runs += [run("noisy_none", s, train(0.3, "nan", 20), state="diverged") for s in SEEDS]
    claim = verdict(runs, "noise-stops-standard")
    assert claim.effect == 1.0 and claim.verdict == "supported"


# --- the landscape ------------------------------------------------------------------------------

SMOOTHNESS = {"loss-range": "width", "gradient-predictiveness": "change", "smoothness": "beta"}


def _landscapes(field, of, accuracy=0.9, **settings):
    """none and bn, with `of(norm, seed)` a number or a function of the step for one field."""
    return arms_of(
        "none",
        "bn",
        lambda norm, seed: [train(accuracy), landscape(**{field: of(norm, seed)})],
        **settings,
    )


@pytest.mark.parametrize(("name", "field"), SMOOTHNESS.items())
def test_a_smoother_arm_is_told_from_a_rougher_one_by_the_log_ratio(name, field):
    rough = {"none": 6.0, "bn": 2.0}
    claim = verdict(_landscapes(field, lambda norm, seed: rough[norm] + seed), name)
    assert claim.verdict == "supported" and claim.arms == ("none", "bn")
    assert_effect(claim, [math.log((6 + seed) / (2 + seed)) for seed in SEEDS])
    swapped = {"none": 2.0, "bn": 6.0}
    claim = verdict(_landscapes(field, lambda norm, seed: swapped[norm] + seed), name)
    assert claim.verdict == "contradicted"


@pytest.mark.parametrize(("name", "field"), SMOOTHNESS.items())
def test_the_first_hundred_steps_are_left_out(name, field):
    def of(norm, seed):
        late, early = {"none": (6.0, 2.0), "bn": (2.0, 1e3)}[norm]
        return lambda step: early if step < 100 else late

    claim = verdict(_landscapes(field, of), name)
    assert claim.effect == pytest.approx(math.log(3))
    claim = verdict(_landscapes(field, of, classes=None, steps=12_000), name)
    # A regression: its loss has not halved, so that it has not trained.
    assert "did not train" in claim.reason


def test_the_start_of_a_regression_is_a_hundredth_of_it():
    def records(norm, seed):
        late, early = {"none": (6.0, 2.0), "bn": (2.0, 100.0)}[norm]
        width = [lambda step: early if step < 40 else late][0]
        return [train(None, lambda step: 1e4 * 0.9**step), landscape(width=width)]

    runs = arms_of("none", "bn", records, classes=None, steps=4000)
    claim = verdict(runs, "loss-range")
    # Captures at 40 to 180: all after the start, though most of them are before step 100.
    assert claim.effect == pytest.approx(math.log(3)) and "first 1% of the steps" in claim.formula


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("loss-range", "width", "inf"),
        ("loss-range", "width", "nan"),
        ("gradient-predictiveness", "change", "inf"),
        ("gradient-predictiveness", "change", "nan"),
        ("smoothness", "beta", "inf"),
    ],
)
def test_what_is_not_finite_counts_as_a_million_times_larger(name, field, value):
    claim = verdict(_landscapes(field, lambda norm, _: value if norm == "none" else 2.0), name)
    assert claim.verdict == "supported" and claim.effect == pytest.approx(math.log(1e6))
    claim = verdict(_landscapes(field, lambda *_: value), name)
    assert claim.verdict == "inconclusive" and claim.seeds == 0 and "finite" in claim.reason


def test_log_ratios_of_what_has_no_logarithm():
    above = numpy.array([6.0, 0.0, 0.0, 5.0, numpy.inf, 5.0, numpy.inf, numpy.nan])
    below = numpy.array([2.0, 0.0, 5.0, 0.0, 5.0, numpy.inf, numpy.inf, 5.0])
    most = math.log(1e6)
    expected = [math.log(3), 0, -most, most, most, -most, numpy.nan, numpy.nan]
    numpy.testing.assert_allclose(measures.log_ratio(above, below), expected)


def test_captures_that_are_unbounded_in_both_arms_do_not_count():
    def of(norm, seed):
        return lambda step: "inf" if step >= 140 else {"none": 6.0, "bn": 2.0}[norm]

    assert verdict(_landscapes("width", of), "loss-range").effect == pytest.approx(math.log(3))


def test_one_spike_does_not_move_the_median_but_is_the_peak():
    def of(norm, seed):
        return lambda step: 900.0 if (norm, step) == ("none", 120) else 20.0

    assert verdict(_landscapes("width", of), "loss-range").effect == 0
    claim = verdict(_landscapes("beta", of), "smoothness")
    assert claim.effect == pytest.approx(math.log(45)) and claim.verdict == "supported"


@pytest.mark.parametrize("name", [*SMOOTHNESS, "lp-smooths", "ics-not-reduced"])
@pytest.mark.parametrize(("accuracy", "state"), [(0.14, "done"), (0.9, "diverged")])
def test_an_arm_that_does_not_train_says_nothing_on_smoothness(name, accuracy, state):
    arm = "l2" if name == "lp-smooths" else "bn"
    constant = [lambda _: 0.5] * 2
    runs = [run(arm, s, train(0.9), landscape(3.0, 3.0, 3.0), shifts(*constant)) for s in SEEDS]
    runs += [
        run("none", s, train(accuracy), landscape(0.1, 0.1, 0.1), shifts(*constant), state=state)
        for s in SEEDS
    ]
    claim = verdict(runs, name)
    failure = "diverged" if state == "diverged" else "did not train"
    assert claim.verdict == "inconclusive" and claim.effect is None
    assert f"seeds 0, 1, 2: norm=none {failure}, and a flat landscape" in claim.reason


def test_only_the_seeds_that_trained_are_judged():
    runs = []
    for seed in range(5):
        stuck = seed in (1, 3)
        width = 0.01 if stuck else 6.0
        runs.append(run("none", seed, train(0.1 if stuck else 0.9), landscape(width)))
        runs.append(run("bn", seed, train(0.9), landscape(2.0)))
    claim = verdict(runs, "loss-range")
    assert claim.seeds == 3 and claim.effect == pytest.approx(math.log(3))
    assert "seeds 1, 3: norm=none did not train" in claim.reason


def test_what_was_not_recorded_is_named():
    runs = arms_of("none", "bn", lambda *_: [train()])
    assert 'no records of kind "landscape"' in verdict(runs, "loss-range").reason
    assert 'no records of kind "landscape"' in verdict(runs, "rough-at-start").reason
    assert 'no records of kind "ics"' in verdict(runs, "ics-not-reduced").reason
    assert 'no records of kind "batch_norm_identity"' in verdict(runs, "theorem-4.1").reason
    runs = arms_of("none", "bn", lambda *_: [landscape()])
    assert "no training accuracy on record" in verdict(runs, "loss-range").reason
    runs = arms_of("none", "bn", lambda *_: [train(), landscape(captures=(0, 50))])
    assert "no common capture from step 100 on" in verdict(runs, "loss-range").reason
    runs = arms_of("none", "bn", lambda *_: [train(), landscape()], classes=1)
    assert "number of classes is not known" in verdict(runs, "loss-range").reason


def test_lp_normalisations_are_compared_with_none():
    runs = [run("none", seed, train(), landscape(6.0, 4.0, 8.0)) for seed in SEEDS]
    runs += [run("l1", seed, train(), landscape(2.0, 4.0, 2.0)) for seed in SEEDS]
    claim = verdict(runs, "lp-smooths")
    assert claim.verdict == "supported" and claim.arms == ("none", "l1")
    assert claim.effect == pytest.approx(math.log(3))
    assert "change of the gradient: 0 [0, 0]" in claim.reason
    assert f"peak smoothness: {math.log(4):.3g} [" in claim.reason


def test_rough_at_start_reads_step_0_of_arms_that_need_not_train():
    def of(norm, seed):
        first, then = {"bn": (60.0 + seed, 5.0), "none": (3.0, 10.0)}[norm]
        return lambda step: first if step == 0 else then if step < 100 else 1e4

    runs = _landscapes("beta", of, accuracy=0.1)
    claim = verdict(runs, "rough-at-start")
    assert claim.verdict == "supported" and claim.arms == ("bn", "none")
    assert_effect(claim, [math.log((60 + seed) / 3) for seed in SEEDS])
    assert f"rest of the start: {math.log(0.5):.3g} [" in claim.reason
    late = arms_of("none", "bn", lambda *_: [train(), landscape(captures=(20, 40))])
    assert "no common capture before step 1" in verdict(late, "rough-at-start").reason


# --- inputs and covariate shift -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arm", "name"), [("noisy_bn", "noise-shifts-inputs"), ("l2", "lp-shifts-inputs")]
)
def test_inputs_shift_as_far_as_their_mean_or_variance_moves(arm, name):
    def records(norm, seed):
        # Without the 1e9 of the first capture; in deviations, |mean| / 2 + |variance| / 4.
        if norm == arm:
            return [train(), activations(-2.0 - seed, 2.0, captures=(0, 20))]
        return [train(), activations(0.2, -0.4, captures=(0, 20))]

    claim = verdict(arms_of("none", arm, records), name)
    assert claim.verdict == "supported" and claim.arms == (arm, "none")
    of_mean = [math.log((2 + seed) / 0.2) for seed in SEEDS]
    of_variance = [math.log(2.0 / 0.4) for _ in SEEDS]
    if arm == "noisy_bn":
        assert_effect(claim, of_mean)
        assert f"of the variance: {of_variance[0]:.3g}" in claim.reason
        assert "change of the mean of" in claim.formula and "{" not in claim.formula
    else:
        assert_effect(claim, of_variance)
        assert f"of the mean: {sum(of_mean) / len(SEEDS):.3g} [" in claim.reason
        assert "change of the variance of" in claim.formula and "{" not in claim.formula
    relative = sum(math.log((1 + seed / 2 + 0.5) / 0.2) for seed in SEEDS) / len(SEEDS)
    assert f"in units of the deviation: {relative:.3g} [" in claim.reason


def test_inputs_that_shift_less_contradict_it_and_bn_is_in_the_reason():
    change = {"noisy_bn": 0.1, "none": 0.4, "bn": 0.05}
    runs = [
        run(norm, seed, train(), activations(change[norm])) for norm in change for seed in SEEDS
    ]
    claim = verdict(runs, "noise-shifts-inputs")
    assert claim.verdict == "contradicted"
    assert f"ln(noisy_bn / bn) of the same: {math.log(2):.3g} [" in claim.reason


def test_lost_numbers_and_stuck_arms_do_not_judge_inputs():
    lost = arms_of("none", "noisy_bn", lambda *_: [train(), activations("nan")])
    assert "no common capture" in verdict(lost, "noise-shifts-inputs").reason
    stuck = arms_of(
        "none",
        "noisy_bn",
        lambda norm, _: [train(0.1 if norm == "none" else 0.9), activations(1.0)],
    )
    assert "norm=none did not train" in verdict(stuck, "noise-shifts-inputs").reason


def _shifting(bn, none, bn_cosine=lambda loss: 0.5, none_cosine=lambda loss: 0.5):
    """bn learns four times faster; shift and cosine are functions of the loss reached."""

    def records(norm, seed):
        rate = {"bn": 20.0, "none": 80.0}[norm]
        relative, cosine = {"bn": (bn, bn_cosine), "none": (none, none_cosine)}[norm]

        def loss(step):
            return 2.3 * math.exp(-step / rate)

        captures = range(0, STEPS, 5 if norm == "bn" else 20)
        measured = shifts(
            lambda step: relative(loss(step)), lambda step: cosine(loss(step)), captures
        )
        return [train(0.9, loss), measured]

    return arms_of("none", "bn", records)


def test_covariate_shift_is_compared_at_the_same_loss_and_not_at_the_same_step():
    # Shift falls with the loss, and at every loss bn has twice that of none; yet bn, being ahead,
    # has less at nearly every step.
    claim = verdict(_shifting(lambda loss: 2 * loss**2, lambda loss: loss**2), "ics-not-reduced")
    assert claim.verdict == "supported"
    assert claim.effect == pytest.approx(math.log(2), abs=0.1)
    bn, none = (numpy.exp(-2 * numpy.arange(20, STEPS, 20) / rate) for rate in (20, 80))
    assert numpy.median(2 * bn / none) < 0.2


def test_less_shift_at_the_same_loss_contradicts_it_where_the_cosine_agrees():
    def twice(loss):
        return 0.4 * loss

    less = [lambda loss: 0.2 * loss, twice]
    cosines = [lambda loss: 0.9, lambda loss: 0.3]
    claim = verdict(_shifting(*less, *cosines), "ics-not-reduced")
    assert claim.verdict == "contradicted" and "cosine of none - cosine of bn: -0.6" in claim.reason
    claim = verdict(_shifting(*less, *reversed(cosines)), "ics-not-reduced")
    assert claim.verdict == "inconclusive"
    assert "would be contradicted, but the cosine" in claim.reason
    # Not reduced in one respect, reduced in the other.
    claim = verdict(_shifting(twice, twice, *cosines), "ics-not-reduced")
    assert claim.verdict == "inconclusive" and "would be supported, but" in claim.reason


def test_similar_shift_is_not_reduced_shift():
    same = verdict(_shifting(lambda loss: 0.3, lambda loss: 0.3), "ics-not-reduced")
    assert same.verdict == "supported" and same.effect == pytest.approx(0, abs=1e-12)


def test_the_first_layer_cannot_shift_and_does_not_count():
    constant = [lambda _: 0.5] * 2
    runs = arms_of("none", "bn", lambda *_: [train(0.9), shifts(*constant, layers=("conv1",))])
    assert "no layer in common" in verdict(runs, "ics-not-reduced").reason


def test_arms_that_never_have_the_same_loss_cannot_be_compared():
    constant = [lambda _: 0.5] * 2
    runs = arms_of(
        "none",
        "bn",
        lambda norm, _: [train(0.9, 2.0 if norm == "none" else 0.1), shifts(*constant)],
    )
    assert "fewer than 3 captures have a training loss" in verdict(runs, "ics-not-reduced").reason


# --- theory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ((1e-6, 2e-6, 5e-3), "supported"),
        ((0.3, 0.4, 0.5), "contradicted"),
        ((1e-6, 2e-6, 0.5), "inconclusive"),  # the median does not agree
    ],
)
def test_the_theorem_holds_where_the_largest_difference_is_rounding(differences, expected):
    runs = [run("bn", seed, identity(*differences)) for seed in SEEDS]
    claim = verdict(runs, "theorem-4.1")
    assert claim.verdict == expected and claim.arms == ("bn",) and claim.interval is None
    assert claim.effect == max(differences) and claim.seeds == 3
    assert f"median: {sorted(differences)[1]:.3g}" in claim.reason


def test_the_theorem_has_to_hold_at_every_seed():
    runs = [run("bn", seed, identity(0.5 if seed == 1 else 1e-6)) for seed in SEEDS]
    claim = verdict(runs, "theorem-4.1")
    assert claim.verdict == "inconclusive" and "at some seeds only" in claim.reason
    assert verdict(runs[:1], "theorem-4.1").verdict == "inconclusive"


def test_differences_that_are_not_numbers_and_other_precisions():
    nothing = [run("bn", s, identity("nan", left=0.0, right=0.0)) for s in SEEDS]
    assert verdict(nothing, "theorem-4.1").verdict == "supported"
    infinite = [run("bn", s, identity(1e-6, "inf")) for s in SEEDS]
    assert "not finite" in verdict(infinite, "theorem-4.1").reason
    coarse = [run("bn", s, identity(1e-6), precision="bfloat16") for s in SEEDS]
    assert "not of bfloat16" in verdict(coarse, "theorem-4.1").reason
    assert verdict(coarse, "theorem-4.1").verdict == "inconclusive"


# --- what is compared with what -----------------------------------------------------------------

IDS = [
    "faster-training",
    "larger-learning-rates",
    "noise-does-not-hurt",
    "noise-shifts-inputs",
    "noise-stops-standard",
    "ics-not-reduced",
    "loss-range",
    "gradient-predictiveness",
    "smoothness",
    "lp-trains-as-well",
    "lp-shifts-inputs",
    "lp-smooths",
    "theorem-4.1",
    "rough-at-start",
]


def test_claims_without_their_arms_say_what_is_missing():
    found = claims.evaluate([run("l1", 0, train()), run("rms", 0, train())])
    assert [one.id for one in found] == IDS
    assert {one.verdict for one in found} == {"inconclusive"}
    reasons = {one.id: one.reason for one in found}
    same = "with the same settings; found l1, rms"
    assert reasons["loss-range"] == f"needs norm=none and norm=bn {same}"
    assert reasons["lp-smooths"].startswith("needs norm=none and norm=l1 or norm=none and norm=l2")
    assert reasons["theorem-4.1"] == "needs norm=bn; found l1, rms"
    assert [one.id for one in claims.evaluate([])] == IDS
    assert claims.evaluate([])[0].reason.endswith("found no runs")


def test_every_condition_has_its_own_verdict():
    runs = []
    for lr, bn in ((0.1, 0.9), (0.5, 0.2)):
        runs += arms_of(
            "none", "bn", lambda norm, _, bn=bn: [train({"bn": bn}.get(norm, 0.5))], lr=lr
        )
    runs += arms_of(
        "none",
        "bn",
        lambda norm, _: [train(None, lambda s: math.exp(-s / {"bn": 20, "none": 80}[norm]))],
        classes=None,
        lr=1e-6,
    )
    found = {one.condition: one.verdict for one in verdicts(runs, "faster-training")}
    assert found == {
        "vgg11, glyphs, lr 0.1": "supported",
        "vgg11, glyphs, lr 0.5": "contradicted",
        "dln, gaussian, lr 1e-06": "supported",
    }


def test_runs_with_other_settings_are_not_compared():
    def records(*_):
        return [train()]

    runs = [run("bn", seed, train(), steps=STEPS) for seed in SEEDS]
    runs += [run("none", seed, train(), steps=STEPS, momentum=0.9) for seed in SEEDS]
    assert "needs norm=bn and norm=none" in verdict(runs, "faster-training").reason
    runs = arms_of("none", "bn", records, width=1.0) + arms_of("none", "bn", records, width=2.0)
    conditions = [one.condition for one in verdicts(runs, "faster-training")]
    assert conditions == ["vgg11, glyphs, lr 0.1, width 1", "vgg11, glyphs, lr 0.1, width 2"]


def test_the_order_of_the_runs_does_not_matter():
    runs = _everything(random.Random(1), ("none", "bn"))
    shuffled = random.Random(2).sample(runs, len(runs))
    assert claims.evaluate(shuffled) == claims.evaluate(runs)


def test_claims_are_plain_json_and_rows():
    found = claims.evaluate(_everything(random.Random(0), ("none", "bn", "l1")))
    for claim in found:
        assert json.loads(json.dumps(claim.to_dict(), allow_nan=False)) == claim.to_dict()
        assert list(claim.to_dict()) == [
            *("id", "claim", "source", "arms", "condition", "formula", "unit", "effect"),
            *("interval", "seeds", "verdict", "reason"),
        ]
        assert "{" not in claim.claim + claim.formula + claim.reason
    strange = claims.Claim(*"abc", (), *"def", math.inf, (math.nan, -math.inf), 3, "g", "h")
    assert strange.to_dict()["effect"] == "inf"
    assert strange.to_dict()["interval"] == ["nan", "-inf"]
    table = claims.to_frame(found)
    assert list(table["verdict"]) == [one.verdict for one in found]
    decided = table[table["verdict"] != "inconclusive"]
    assert len(decided) and (decided["seeds"] >= 3).all()
    first = next(one for one in found if one.interval)
    row = table.iloc[found.index(first)]
    assert (row["low"], row["high"]) == first.interval and row["arms"] == ", ".join(first.arms)
    assert len(claims.to_frame([])) == 0


def _everything(choice, norms, strange=False):
    """Runs of many arms; if `strange`, with kinds, seeds, steps and numbers missing at random."""
    runs = []
    for norm, seed, lr in itertools.product(norms, SEEDS, (0.1, 0.5)):
        classes = choice.choice((10, None)) if strange else 10
        number = (
            (lambda: choice.choice((0.0, 1.0, 1e300, "inf", "nan", "-inf")))
            if strange
            else (lambda: choice.uniform(0.5, 2))
        )
        groups = [
            train(choice.choice((0.1, 0.9)) if strange else 0.9, lambda step: 2.0**-step),
            landscape(number(), number(), number()),
            shifts(lambda _: choice.uniform(0, 1), lambda _: choice.uniform(-1, 1)),
            activations(number(), number()),
            identity(number(), 1e-5),
        ]
        groups = [list(group) for group in groups]
        if strange:
            groups[0] = list(train(number(), number(), choice.randrange(1, STEPS)))
            groups = [group[: choice.randrange(len(group) + 1)] for group in groups]
            groups = choice.sample(groups, choice.randrange(len(groups) + 1))
            if choice.random() < 0.3:
                continue
        state = choice.choice(("done", "diverged", "running", "unknown")) if strange else "done"
        runs.append(run(norm, seed, *groups, lr=lr, classes=classes, state=state))
    return runs


@pytest.mark.parametrize("seed", range(6))
def test_no_input_is_too_strange(seed):
    choice = random.Random(seed)
    norms = choice.sample(("none", "bn", "noisy_bn", "noisy_none", "l1", "linf"), 4)
    found = claims.evaluate(_everything(choice, norms, strange=True))
    assert {one.id for one in found} == set(IDS)
    for claim in found:
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
