"""Bands of the change of the gradient."""

from artists import extremes
from landscapes import HAND, directions

from bnkit.report.figures import gradient_predictiveness


def test_gradient_predictiveness_is_the_range_of_distances():
    (axes,) = gradient_predictiveness.ENTRY.draw(HAND).axes
    assert extremes(axes, 0) == (3.0, 9.0) and extremes(axes, 10) == (1.0, 4.0)
    assert axes.get_yscale() == "log"


def test_random_bands_are_over_the_directions_too():
    random = directions((1.0, 7.0), (3.0, 5.0), (0.5, 6.0))
    (axes,) = gradient_predictiveness.RANDOM.draw(random).axes
    assert extremes(axes, 0) == (1.5, 27.0)
    data = gradient_predictiveness.RANDOM.data(random)
    assert (data["low"][0], data["high"][0]) == (1.5, 27.0) and list(data["step"]) == [0, 10]
