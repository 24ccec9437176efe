"""Verdicts on made-up shifts of the inputs of layers."""

import math

import made_up
import pytest
from asked import assert_effect, verdict

from bnkit.report.claims.measures import inputs
from bnkit.report.statistics.pairing import NotComparable

SEEDS = made_up.SEEDS


def _records(shifting, seed):
    """Means move by 2 + seed against 0.2, variances by 2 against 0.4; the first capture by 1e9."""
    moves = (-2.0 - seed, 2.0) if shifting else (0.2, -0.4)
    return [made_up.train(), made_up.activations(*moves, captures=(0, 20))]


def test_noise_shifts_inputs_as_far_as_their_mean_moves():
    runs = made_up.arms("none", "noisy_bn", lambda norm, seed: _records(norm != "none", seed))
    claim = verdict(runs, "noise-shifts-inputs")
    assert claim.verdict == "supported" and claim.arms == ("noisy_bn", "none")
    assert_effect(claim, [math.log((2 + seed) / 0.2) for seed in SEEDS])


def test_lp_normalisation_shifts_inputs_as_far_as_their_variance_moves():
    runs = made_up.arms("none", "l2", lambda norm, seed: _records(norm != "none", seed))
    claim = verdict(runs, "lp-shifts-inputs")
    assert claim.verdict == "supported" and claim.arms == ("l2", "none")
    assert_effect(claim, [math.log(2.0 / 0.4) for _ in SEEDS])


def test_the_relative_change_is_in_units_of_deviation_and_variance():
    one, other = (made_up.trace("l2", 0, *_records(shifting, 1)) for shifting in (True, False))
    # The variance is 4: |mean| / 2 + |variance| / 4.
    expected = math.log((3 / 2 + 2 / 4) / (0.2 / 2 + 0.4 / 4))
    assert inputs.relative_change(one, other) == pytest.approx(expected)


def test_inputs_that_shift_less_contradict_it():
    change = {"noisy_bn": 0.1, "none": 0.4}
    runs = made_up.arms(
        "none", "noisy_bn", lambda norm, _: [made_up.train(), made_up.activations(change[norm])]
    )
    claim = verdict(runs, "noise-shifts-inputs")
    assert claim.verdict == "contradicted" and claim.effect == pytest.approx(math.log(0.25))


def test_changes_that_were_lost_cannot_be_compared():
    lost = made_up.trace("bn", 0, made_up.train(), made_up.activations("nan"))
    with pytest.raises(NotComparable, match="no common capture"):
        inputs.mean_change(lost, lost)


@pytest.mark.parametrize("stuck", [0, 1])
def test_an_arm_that_does_not_train_does_not_judge_inputs(stuck):
    arms = [(0.9, "bn"), (0.9, "bn")]
    arms[stuck] = (0.1, "none")
    traces = [
        made_up.trace(norm, 0, made_up.train(accuracy), made_up.activations(1.0))
        for accuracy, norm in arms
    ]
    with pytest.raises(NotComparable, match="norm=none did not train, and inputs hardly move"):
        inputs.mean_change(*traces)
