"""Ratios of what has no logarithm."""

import math

import numpy as np
import pytest

from bnkit.report.claims.measures import ratios
from bnkit.report.statistics.pairing import NotComparable


def test_log_ratios_of_what_has_no_logarithm():
    above = np.array([6.0, 0.0, 0.0, 5.0, np.inf, 5.0, np.inf, np.nan])
    below = np.array([2.0, 0.0, 5.0, 0.0, 5.0, np.inf, np.inf, 5.0])
    most = math.log(1e6)
    expected = [math.log(3), 0, -most, most, most, -most, np.nan, np.nan]
    np.testing.assert_allclose(ratios.log_ratio(above, below), expected)


def test_the_median_leaves_out_what_is_nan():
    above, below = np.array([np.nan, 2.0, 8.0, 32.0]), np.array([1.0, 1.0, 1.0, 1.0])
    assert ratios.median_log_ratio(above, below) == pytest.approx(math.log(8))
    with pytest.raises(NotComparable, match="no capture has a finite value"):
        ratios.median_log_ratio([np.inf, np.nan], [np.inf, 1.0])


def test_one_ratio_must_be_a_number():
    assert ratios.one_log_ratio(np.inf, 2.0) == pytest.approx(math.log(1e6))
    with pytest.raises(NotComparable, match="the ratio is NaN"):
        ratios.one_log_ratio(np.inf, np.inf)
