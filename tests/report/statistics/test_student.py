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
