"""The bootstrap interval: coverage, and what its definition promises."""

import itertools

import numpy as np
import pytest

from bnkit.report.statistics import bootstrap

DRAWS = 1000


def _coverage(samples, mean):
    ends = np.array([bootstrap.interval(one) for one in samples])
    return np.mean((ends[:, 0] <= mean) & (mean <= ends[:, 1]))


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    # Coverage needs many intervals, each of which needs few resamples.
    monkeypatch.setattr(bootstrap, "RESAMPLES", 500)


@pytest.mark.parametrize("count", [3, 5, 10])
@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda generator, size: generator.normal(7.0, 2.0, size), 7.0),
        (lambda generator, size: generator.gamma(9.0, 1.0, size), 9.0),
    ],
    ids=["normal", "mildly skewed"],
)
def test_95_in_100_intervals_hold_the_mean(count, draw, mean):
    samples = draw(np.random.default_rng(3), (DRAWS, count))
    # The simulation itself has a standard error of 0.7 points.
    assert 0.925 <= _coverage(samples, mean) <= 0.97


def test_the_plain_percentile_interval_of_three_would_not(monkeypatch):
    monkeypatch.setattr(bootstrap, "stretch", lambda count: 1.0)
    samples = np.random.default_rng(3).normal(size=(DRAWS, 3))
    # Of three values it is their whole range: the mean is outside in 1 of 4 draws.
    assert _coverage(samples, 0.0) == pytest.approx(0.75, abs=0.03)


def test_it_is_the_stretched_percentile_interval(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 40_000)
    values = np.array([0.0, 1.0, 5.0, 6.0])
    every = [np.mean(one) for one in itertools.product(values, repeat=4)]
    low, high = np.quantile(every, [0.025, 0.975])
    # t(3 degrees of freedom) = 3.182446, z = 1.959964, sqrt(4 / 3).
    factor = 3.182446 / 1.959964 * np.sqrt(4 / 3)
    expected = (3 - factor * (3 - low), 3 + factor * (high - 3))
    assert bootstrap.interval(values) == pytest.approx(expected, rel=1e-4)


def test_scale_and_shift_go_through_and_the_result_is_always_the_same():
    values = np.array([0.3, 1.0, -2.0, 0.5, 4.0])
    low, high = bootstrap.interval(values)
    assert bootstrap.interval(values) == (low, high)
    assert bootstrap.interval(10 + 3 * values) == pytest.approx((10 + 3 * low, 10 + 3 * high))
    assert bootstrap.interval(-values) == pytest.approx((-high, -low))
    assert low < values.mean() < high


def test_equal_values_have_an_interval_of_no_width():
    assert bootstrap.interval([0.0, 0.0, 0.0]) == (0.0, 0.0)
    assert bootstrap.interval([2.5] * 4) == pytest.approx((2.5, 2.5), rel=1e-12)


def test_the_stretch_vanishes_with_many_values():
    assert bootstrap.stretch(3) == pytest.approx(4.302653 / 1.959964 * np.sqrt(1.5), rel=1e-6)
    # t(40 degrees of freedom) = 2.021075.
    expected = 2.021075 / 1.959964 * np.sqrt(41 / 40)
    assert bootstrap.stretch(41) == pytest.approx(expected, rel=1e-6)
    stretches = [bootstrap.stretch(count) for count in range(2, 40)]
    assert stretches == sorted(stretches, reverse=True)
    assert bootstrap.stretch(10**6) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [1.0, float("inf"), 2.0]])
def test_what_has_no_interval_is_refused(values):
    with pytest.raises(ValueError, match="`values` must be two or more finite numbers"):
        bootstrap.interval(values)
