"""What "about as well" means."""

import math

import pytest

from bnkit.report.claims import limits


def test_as_well_is_five_points_of_accuracy_or_a_factor_of_two_in_the_loss():
    points, factor = limits.as_well(is_regression=False), limits.as_well(is_regression=True)
    assert points.above == points.below == -0.05
    assert factor.above == factor.below == pytest.approx(math.log(0.5))
