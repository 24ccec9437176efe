"""Student's quantiles against published ones, and against the density."""

import math

import numpy as np
import pytest

from bnkit.report.statistics import student

# Two-sided 95 %, from the printed tables: number of values -> quantile.
PRINTED = {2: 12.706, 3: 4.303, 4: 3.182, 6: 2.571, 11: 2.228, 31: 2.042, 61: 2.000, 121: 1.980}


def test_quantiles_are_those_of_the_printed_tables():
    found = student.quantile(np.array(list(PRINTED)))
    np.testing.assert_allclose(found, list(PRINTED.values()), atol=6e-4)


@pytest.mark.parametrize("count", [3, 14, 50])
def test_95_in_100_of_the_density_are_within(count):
    degrees = count - 1
    x = np.linspace(0, student.quantile(count), 20_001)
    constant = math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2)
    density = constant / math.sqrt(degrees * math.pi) * (1 + x**2 / degrees) ** (-(count) / 2)
    assert 2 * np.trapezoid(density, x) == pytest.approx(0.95, abs=1e-8)


def test_many_values_have_the_normal_quantile_and_fewer_than_two_none():
    assert student.quantile(10**7) == pytest.approx(1.959964, abs=1e-5)
    assert np.isnan(student.quantile(np.array([0, 1]))).all()


def test_the_p_value_of_three_values_is_that_of_the_closed_form():
    # With two degrees of freedom: p = 1 - t / sqrt(2 + t^2).
    for values, limit in (([1.0, 2.0, 3.0], 0.0), ([0.3, 0.41, 0.5], 0.1), ([-3.0, 1.0, 0.5], 2.0)):
        mean, deviation = np.mean(values), np.std(values, ddof=1)
        t = abs(mean - limit) / (deviation / math.sqrt(3))
        assert student.p_value(values, limit) == pytest.approx(1 - t / math.sqrt(2 + t**2))
    assert student.p_value([1.0, 2.0, 3.0], 0.0) == pytest.approx(0.0742, abs=1e-4)


def test_values_that_are_equal_but_for_rounding_have_no_p_value():
    assert student.p_value([4.0, 4.0, 4.0], 0.0) is None
    assert student.p_value([0.1 + 0.2, 0.3, 0.3], 0.0) is None
    assert student.p_value([0.0, 0.0, 0.0], 0.0) is None


@pytest.mark.parametrize(
    ("distance", "count"),
    # Of a deviation of 1, with the printed quantiles: 4.303 / sqrt(3) is 2.48, 3.182 / 2 is 1.591,
    # 2.776 / sqrt(5) is 1.241, 2.571 / sqrt(6) is 1.05 and 2.447 / sqrt(7) is 0.925.
    [(1.6, 4), (1.59, 5), (1.25, 5), (1.2, 6), (1.0, 7), (0.0, None), (0.19, None)],
)
def test_seeds_that_decide_are_those_of_the_printed_tables(distance, count):
    assert student.seeds_to_decide([-1.0, 0.0, 1.0], distance) == count


def test_seeds_that_decide_are_more_than_there_are_and_at_most_a_hundred():
    assert student.seeds_to_decide([-1.0, 0.0, 1.0], 100.0) == 4
    # 1.984 / sqrt(100).
    assert student.seeds_to_decide([-1.0, 0.0, 1.0], 0.1985) == 100
    assert student.seeds_to_decide([-1.0, 0.0, 1.0], 0.1983) is None
