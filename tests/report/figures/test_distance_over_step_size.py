"""Gradient distance and loss over the step size."""

import math

import numpy as np
import pandas as pd
from artists import arrows, curve, titles
from landscapes import HAND, landscape

from bnkit.report.figures import distance_over_step_size


def test_distance_and_loss_over_the_step_size():
    first, last = HAND.query("step == 0"), HAND.query("step == 10")
    middle = [last.assign(step=step) for step in (4, 6)]
    figure = distance_over_step_size.ENTRY.draw(pd.concat([first, *middle, last]))
    distances, losses = np.reshape(figure.axes, (2, 3))
    assert titles(distances) == ["step 0, lr 0.1", "step 4, lr 0.1", "step 10, lr 0.1"]
    for axes, drawn in ((distances[0], [3, 9]), (losses[0], [1, 5]), (losses[2], [0.5, 2])):
        sizes, values = curve(axes, "bn")
        assert sizes == [0.1, 0.2]
        np.testing.assert_allclose(values, drawn)
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        # The learning rate is on the grid.
        dashed = [one for one in axes.get_lines() if one.get_linestyle() == "--"]
        assert [set(one.get_xdata()) for one in dashed] == [{0.1}]
    assert losses[0].get_ylim() == losses[2].get_ylim() != distances[0].get_ylim()
    assert losses[0].get_xlabel() == "step size $s$"


def test_a_learning_rate_off_the_grid_has_no_line():
    for axes in distance_over_step_size.ENTRY.draw(HAND.assign(lr=0.3)).axes:
        assert not [one for one in axes.get_lines() if one.get_linestyle() == "--"]


def test_one_probed_step_is_shown_once_and_a_lost_value_as_an_arrow():
    broken = landscape([(0, 2.0, (1.0, math.nan), (3.0, math.inf), math.inf)])
    figure = distance_over_step_size.ENTRY.draw(broken)
    assert [arrows(axes) for axes in figure.axes] == [[0.2], [0.2]]
    assert set(distance_over_step_size.ENTRY.data(broken)["time"]) == {"first"}
