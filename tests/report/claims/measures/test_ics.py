"""Verdicts on made-up internal covariate shift."""

import math

import made_up
import numpy as np
import pytest
from asked import verdict

from bnkit.report.claims.measures import ics
from bnkit.report.statistics.pairing import NotComparable

STEPS = made_up.STEPS


def _half(_):
    return 0.5


def _trace(norm, loss=1.0, accuracy=0.9, **options):
    records = made_up.ics(_half, _half, **options)
    return made_up.trace(norm, 0, made_up.train(accuracy, loss), records)


def _shifting(bn, none, bn_cosine=_half, none_cosine=_half):
    """bn learns four times faster; shift and cosine are functions of the loss reached."""

    def records(norm, seed):
        rate = {"bn": 20.0, "none": 80.0}[norm]
        relative, cosine = {"bn": (bn, bn_cosine), "none": (none, none_cosine)}[norm]

        def loss(step):
            return 2.3 * math.exp(-step / rate)

        captures = range(0, STEPS, 5 if norm == "bn" else 20)
        measured = made_up.ics(
            lambda step: relative(loss(step)), lambda step: cosine(loss(step)), captures
        )
        return [made_up.train(0.9, loss), measured]

    return made_up.arms("none", "bn", records)


def test_ics_is_compared_at_the_same_loss_and_not_at_the_same_step():
    # Shift falls with the loss, and at every loss bn has twice that of none; yet bn, being ahead,
    # has less at nearly every step.
    claim = verdict(_shifting(lambda loss: 2 * loss**2, lambda loss: loss**2), "ics-not-reduced")
    assert claim.verdict == "supported"
    assert claim.effect == pytest.approx(math.log(2), abs=0.1)
    bn, none = (np.exp(-2 * np.arange(20, STEPS, 20) / rate) for rate in (20, 80))
    assert np.median(2 * bn / none) < 0.2


def test_less_shift_at_the_same_loss_contradicts_it_where_the_cosine_agrees():
    def twice(loss):
        return 0.4 * loss

    less = [lambda loss: 0.2 * loss, twice]
    cosines = [lambda loss: 0.9, lambda loss: 0.3]
    claim = verdict(_shifting(*less, *cosines), "ics-not-reduced")
    assert claim.verdict == "contradicted"
    # Reduced by the shift, and not by the cosine.
    claim = verdict(_shifting(*less, *reversed(cosines)), "ics-not-reduced")
    assert claim.verdict == "inconclusive" and claim.interval[1] < -math.log(1.25)
    # Not reduced by the shift, and reduced by the cosine.
    claim = verdict(_shifting(twice, twice, *cosines), "ics-not-reduced")
    assert claim.verdict == "inconclusive" and claim.interval[0] > -math.log(1.25)


def test_similar_shift_is_not_reduced_shift():
    same = verdict(_shifting(lambda loss: 0.3, lambda loss: 0.3), "ics-not-reduced")
    assert same.verdict == "supported" and same.effect == pytest.approx(0, abs=1e-12)


def test_the_cosine_is_that_of_the_other_arm_less_that_of_the_first():
    bn, none = (
        made_up.trace(norm, 0, made_up.train(), made_up.ics(_half, lambda _, cosine=cosine: cosine))
        for norm, cosine in (("bn", 0.9), ("none", 0.3))
    )
    assert ics.matched_cosine(bn, none) == pytest.approx(-0.6)


def test_captures_are_matched_with_the_nearest_in_loss():
    # The loss of none falls to that of bn at step 60, where the cosine of none is 0.06.
    falling = made_up.train(0.9, lambda step: math.exp(-step / 80))
    none = made_up.trace("none", 0, falling, made_up.ics(_half, lambda step: step / 1000))
    assert ics.matched_cosine(_trace("bn", math.exp(-60 / 80)), none) == pytest.approx(0.06 - 0.5)


def test_the_first_layer_cannot_shift_and_does_not_count():
    alone = _trace("bn", layers=("conv1",))
    with pytest.raises(NotComparable, match="no layer in common"):
        ics.matched_ics(alone, _trace("none"))


def test_arms_that_never_have_the_same_loss_cannot_be_compared():
    with pytest.raises(NotComparable, match="fewer than 3 captures have a training loss"):
        ics.matched_ics(_trace("bn", 0.1), _trace("none", 2.0))
    near, far = _trace("bn", 2.0 * 1.24), _trace("bn", 2.0 * 1.26)
    assert ics.matched_ics(near, _trace("none", 2.0)) == 0
    with pytest.raises(NotComparable, match="fewer than 3 captures"):
        ics.matched_ics(far, _trace("none", 2.0))


def test_three_captures_are_enough():
    assert ics.matched_ics(_trace("bn", captures=(0, 20, 40)), _trace("none")) == 0
    with pytest.raises(NotComparable, match="fewer than 3 captures"):
        ics.matched_ics(_trace("bn", captures=(0, 20)), _trace("none"))


def test_numbers_that_were_lost_cannot_be_compared():
    records = made_up.ics(_half, lambda _: "nan")
    lost = made_up.trace("bn", 0, made_up.train(), records)
    with pytest.raises(NotComparable, match="no capture has a finite value in both arms"):
        ics.matched_cosine(lost, _trace("none"))


@pytest.mark.parametrize(("accuracy", "state"), [(0.14, "done"), (0.9, "diverged")])
def test_an_arm_that_does_not_train_says_nothing_on_ics(accuracy, state):
    runs = [
        made_up.run(
            norm,
            seed,
            made_up.train(accuracy if norm == "none" else 0.9),
            made_up.ics(_half, _half),
            state=state if norm == "none" else "done",
        )
        for norm in ("none", "bn")
        for seed in made_up.SEEDS
    ]
    claim = verdict(runs, "ics-not-reduced")
    assert claim.verdict == "inconclusive" and claim.effect is None and claim.seeds == 0
