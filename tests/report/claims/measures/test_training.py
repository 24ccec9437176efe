"""Verdicts on how fast, how well and up to which learning rate made-up arms train."""

import math

import made_up
import numpy as np
import pytest
from asked import assert_effect, verdict, verdicts

from bnkit.report.claims.measures import training
from bnkit.report.statistics.pairing import NotComparable

SEEDS, STEPS = made_up.SEEDS, made_up.STEPS


def _levels(levels):
    """Runs of constant accuracy: `{norm: accuracy}`, or `{norm: {seed: accuracy}}`."""
    return [
        made_up.run(norm, seed, made_up.train(of[seed] if isinstance(of, dict) else of))
        for norm, of in levels.items()
        for seed in SEEDS
    ]


def test_faster_training_is_the_mean_difference_of_accuracy_by_seed():
    runs = _levels({"bn": {0: 0.8, 1: 0.7, 2: 0.9}, "none": {0: 0.3, 1: 0.4, 2: 0.35}})
    claim = verdict(runs, "faster-training")
    assert claim.verdict == "supported" and claim.arms == ("bn", "none")
    assert claim.unit == "accuracy" and claim.condition == "vgg11, glyphs, lr 0.1"
    assert_effect(claim, [0.5, 0.3, 0.55])


def test_faster_training_is_contradicted_where_bn_is_slower():
    rates = {"bn": 300, "none": 100}

    def records(norm, seed):
        return [made_up.train(lambda step: 0.1 + 0.9 * min(1, step / (rates[norm] + seed)))]

    claim = verdict(made_up.arms("none", "bn", records), "faster-training")
    assert claim.verdict == "contradicted" and claim.interval[1] < 0
    steps = np.arange(STEPS)
    rise = {rate: np.minimum(1, steps / rate) for rate in (100, 101, 102, 300, 301, 302)}
    assert_effect(claim, [0.9 * (rise[300 + s] - rise[100 + s]).mean() for s in SEEDS])


def test_arms_of_unequal_length_are_compared_on_their_common_steps():
    def records(norm, _):
        if norm == "none":
            return [made_up.train(0.5, steps=50)]
        return [made_up.train(lambda step: 0.6 if step < 50 else 1.0)]

    runs = made_up.arms("none", "bn", records, state="interrupted")
    claim = verdict(runs, "faster-training")
    assert claim.effect == pytest.approx(0.1) and claim.verdict == "supported"


def test_a_run_that_diverged_counts_as_untrained_from_there_on():
    runs = [made_up.run("bn", seed, made_up.train(0.6)) for seed in SEEDS]
    runs += [
        made_up.run("none", seed, made_up.train(0.7, steps=50), state="diverged") for seed in SEEDS
    ]
    claim = verdict(runs, "faster-training")
    # 0.6 against 0.7 over 50 steps, and against guessing among 10 classes over the other 150.
    assert claim.effect == pytest.approx((50 * -0.1 + 150 * 0.5) / 200)


def test_two_arms_that_do_not_train_say_nothing_on_speed():
    claim = verdict(_levels({"bn": 0.13, "none": 0.1}), "faster-training")
    assert claim.verdict == "inconclusive" and claim.seeds == 0 and claim.effect is None


def test_a_regression_is_compared_by_its_log_loss():
    def records(norm, seed):
        rate = {"bn": 40, "none": 80}[norm] + seed
        return [made_up.train(None, lambda step: 5e4 * math.exp(-step / rate))]

    claim = verdict(made_up.arms("none", "bn", records, classes=None), "faster-training")
    steps = np.arange(STEPS)
    assert claim.verdict == "supported" and claim.unit == "ln ratio"
    assert_effect(claim, [np.mean(steps / (40 + seed) - steps / (80 + seed)) for seed in SEEDS])


def test_what_cannot_be_compared_says_why():
    stuck = made_up.trace("bn", 0, made_up.train(0.1))
    good = made_up.trace("none", 0, made_up.train(0.9))
    with pytest.raises(NotComparable, match="neither norm=bn nor norm=bn trained"):
        training.training_gain(stuck, stuck)
    with pytest.raises(NotComparable, match="norm=bn did not train, and to train as well"):
        training.final_difference(good, stuck)
    with pytest.raises(NotComparable, match="norm=bn did not train, and there was nothing to stop"):
        training.progress_lost(good, stuck)
    running = made_up.trace("noisy_none", 0, made_up.train(0.1), state="running")
    with pytest.raises(NotComparable, match="norm=noisy_none had not ended"):
        training.progress_lost(running, good)
    late = made_up.trace("bn", 0, ({**one, "step": one["step"] + STEPS} for one in made_up.train()))
    with pytest.raises(NotComparable, match="no common training step"):
        training.training_gain(late, good)


def _by_lr(trained):
    """Runs at every learning rate of `{norm: {lr: whether it trains}}`."""
    return [
        made_up.run(norm, seed, made_up.train(0.9 if works else 0.1), lr=lr)
        for norm, lrs in trained.items()
        for lr, works in lrs.items()
        for seed in SEEDS
    ]


def test_the_largest_learning_rate_that_trains_is_compared():
    trained = {
        "bn": {0.1: True, 0.5: True, 1.6: True, 9.0: True},
        "none": {0.1: True, 0.2: True, 0.5: False, 1.6: False},
    }
    claim = verdict(_by_lr(trained), "larger-learning-rates")
    # 0.2 and 9 were measured for one arm only.
    assert claim.effect == pytest.approx(4.0) and claim.verdict == "supported"
    assert claim.unit == "log2 ratio" and claim.condition == "vgg11, glyphs, lr 0.1…9 (5)"
    swapped = {"bn": trained["none"], "none": trained["bn"]}
    claim = verdict(_by_lr(swapped), "larger-learning-rates")
    assert claim.effect == pytest.approx(-4.0) and claim.verdict == "contradicted"


def test_an_arm_that_trains_at_no_learning_rate_counts_with_the_smallest():
    trained = {"bn": {0.1: True, 0.4: True}, "none": {0.1: False, 0.4: False}}
    claim = verdict(_by_lr(trained), "larger-learning-rates")
    assert claim.effect == pytest.approx(2.0) and claim.verdict == "supported"


@pytest.mark.parametrize(
    ("trained", "seeds"),
    [
        # Both train up to the largest: a tie.
        ({"bn": {0.1: True, 1: True}, "none": {0.1: True, 1: True}}, 3),
        ({"bn": {0.1: False, 1: False}, "none": {0.1: False, 1: False}}, 0),
        ({"bn": {0.1: True, 1: True}, "none": {0.1: True}}, 0),
        ({"bn": {0.1: True}, "none": {0.1: True}}, 0),
    ],
)
def test_learning_rates_that_cannot_tell(trained, seeds):
    claim = verdict(_by_lr(trained), "larger-learning-rates")
    assert claim.verdict == "inconclusive" and claim.seeds == seeds


def test_a_learning_rate_that_may_yet_train_does_not_count():
    runs = _by_lr({"bn": {0.1: True, 1: True}, "none": {0.1: True}})
    running = [
        made_up.run("none", seed, made_up.train(0.1), lr=1.0, state="running") for seed in SEEDS
    ]
    assert verdict(runs + running, "larger-learning-rates").seeds == 0
    ended = [made_up.run("none", seed, made_up.train(0.1), lr=1.0) for seed in SEEDS]
    assert verdict(runs + ended, "larger-learning-rates").effect == pytest.approx(math.log2(10))


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
        return [made_up.train(lambda step: end if step >= 180 else 0.3)]

    name = "noise-does-not-hurt" if arm == "noisy_bn" else "lp-trains-as-well"
    claim = verdict(made_up.arms("bn", arm, records), name)
    assert claim.verdict == expected and claim.arms == (arm, "bn")
    assert_effect(claim, [level - 0.98 for level in levels])


def test_as_well_as_an_arm_that_does_not_train_says_nothing():
    claim = verdict(_levels({"bn": 0.1, "noisy_bn": 0.1}), "noise-does-not-hurt")
    assert claim.verdict == "inconclusive" and claim.seeds == 0


def test_the_final_gain_needs_no_arm_that_trained():
    one, other = (made_up.trace("bn", 0, made_up.train(level)) for level in (0.9, 0.1))
    assert training.final_gain(one, other) == pytest.approx(0.8)


@pytest.mark.parametrize(("factor", "expected"), [(1.2, "supported"), (4.0, "contradicted")])
def test_in_a_regression_as_well_means_within_a_factor_of_two(factor, expected):
    def records(norm, seed):
        end = 500 * (factor if norm == "linf" else 1) * (1 + seed / 100)
        return [made_up.train(None, lambda step: 5e4 if step < 100 else end)]

    claim = verdict(made_up.arms("bn", "linf", records, classes=None), "lp-trains-as-well")
    assert claim.verdict == expected and claim.effect == pytest.approx(-math.log(factor))


def test_there_is_an_entry_for_every_lp_that_was_run():
    found = verdicts(_levels({"bn": 0.9, "l2": 0.9, "linf": 0.9}), "lp-trains-as-well")
    assert [one.arms for one in found] == [("l2", "bn"), ("linf", "bn")]


@pytest.mark.parametrize(
    ("level", "expected"), [(0.1, "supported"), (0.8, "contradicted"), (0.3, "inconclusive")]
)
def test_noise_stops_a_network_only_if_hardly_any_progress_is_left(level, expected):
    noisy = {seed: level + seed / 1000 for seed in SEEDS}
    claim = verdict(_levels({"none": 0.91, "noisy_none": noisy}), "noise-stops-standard")
    assert claim.verdict == expected
    assert_effect(claim, [1 - (level + seed / 1000 - 0.1) / 0.81 for seed in SEEDS])


def test_noise_cannot_stop_what_does_not_train():
    claim = verdict(_levels({"none": 0.1, "noisy_none": 0.1}), "noise-stops-standard")
    assert claim.verdict == "inconclusive" and claim.seeds == 0


def test_noise_that_makes_the_loss_infinite_has_stopped_it():
    runs = [made_up.run("none", seed, made_up.train(0.9)) for seed in SEEDS]
    runs += [
        made_up.run("noisy_none", seed, made_up.train(0.3, "nan", 20), state="diverged")
        for seed in SEEDS
    ]
    claim = verdict(runs, "noise-stops-standard")
    assert claim.effect == 1.0 and claim.verdict == "supported"
