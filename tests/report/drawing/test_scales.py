"""Scales of axes, and numbers on them."""

import numpy as np
import pytest

from bnkit.report.drawing import canvas, scales


def _axis(values):
    axes = canvas.Canvas("", 1, 1, []).axes[0, 0]
    scales.symlog(axes, np.array(values))
    return axes


@pytest.mark.parametrize(
    "values",
    [
        [-1e6, -3.0, 0.0, 2e3, 1e9],
        [0.0, 0.5, 700.0],
        [-2e-8, -1e-9],
        [1e-30, -1.0, 1.0],
        [np.nan, np.inf, -4.0, 4.0],
    ],
)
def test_a_signed_axis_has_all_finite_values_0_and_a_few_labels(values):
    axes = _axis(values)
    low, high = axes.get_ylim()
    finite = [value for value in values if np.isfinite(value)]
    assert low < min(*finite, 0) and max(*finite, 0) < high
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    assert 0.0 in ticks and 2 <= len(ticks) <= 9


def test_nothing_but_0_has_a_linear_axis():
    axes = _axis([0.0, 0.0])
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] < 0 < axes.get_ylim()[1]


def test_a_large_value_alone_makes_an_axis_wide_only_if_the_others_are_small():
    assert scales.are_wide(np.array([1000.0, -1.0, 0.5]))
    assert not scales.are_wide(np.array([1000.0, -100.0, 50.0]))
    assert not scales.are_wide(np.array([5.0, 0.0, np.nan, np.inf]))
    assert not scales.are_wide(np.array([]))


def test_a_negative_power_keeps_its_sign():
    assert scales.number(-1e5) == "-10^{5}" and scales.number(1e5) == "10^{5}"
    assert scales.number(-2e5) == r"-2\!\cdot\!10^{5}"


@pytest.mark.parametrize(
    ("last", "ticks"),
    [
        (399, [0, 100, 200, 300, 400]),
        (499, [0, 100, 200, 300, 400, 500]),
        (375, [0, 100, 200, 300, 375]),
        (325, [0, 100, 200, 325]),
        (60, [0, 20, 40, 60]),
        (1, [0, 1]),
        (7, [0, 2, 4, 7]),
        (19999, [0, 5000, 10000, 15000, 20000]),
    ],
)
def test_ticks_are_at_round_steps_and_at_the_last_one(last, ticks):
    assert scales.round_ticks(last) == ticks
