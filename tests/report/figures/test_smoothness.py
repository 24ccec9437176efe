"""Effective smoothness, and its plateau."""

import pandas as pd
import pytest
from artists import arrows, dashed, legend, lines, titles, words
from landscapes import HAND, directions

from bnkit.report import load_runs
from bnkit.report.figures import smoothness


def test_smoothness_has_its_plateau_at_two_over_the_learning_rate():
    figure = smoothness.ENTRY.draw(pd.concat([HAND, HAND.assign(lr=0.5, run="fast")]))
    slow, fast = figure.axes
    assert titles(figure.axes) == ["lr 0.1", "lr 0.5"]
    assert (dashed(slow), dashed(fast)) == ([20.0], [4.0])
    assert slow.get_ylim() == fast.get_ylim()
    assert list(lines(slow, "bn")[0].get_ydata()) == [30.0, 20.0]
    assert legend(figure) == ["BN", "2/lr = $20$, $4$"]


def test_random_smoothness_is_the_largest_of_the_directions_without_a_plateau():
    figure = smoothness.RANDOM.draw(directions((1.0, 7.0), (1.0, 9.0), (1.0, 8.0)))
    (curve,) = lines(figure.axes[0], "bn")
    assert list(curve.get_ydata()) == [9.0, 9.0]
    assert not dashed(figure.axes[0])
    assert "3 at each step" in words(figure)


def test_the_plateau_of_the_deep_linear_network_and_a_smoothness_without_bound(runs):
    for norm in ("none", "bn"):
        runs(model="dln", norm=norm, steps=300)
    axes = smoothness.ENTRY.draw(load_runs(runs.root, "landscape")).axes[0]
    assert dashed(axes) == [2e6] and arrows(axes) == [0.0]


@pytest.mark.parametrize(
    ("settings", "levels"), [({}, [4.0]), ({"momentum": 0.9}, []), ({"optimizer": "adam"}, [])]
)
def test_the_plateau_is_that_of_plain_gradient_descent_alone(runs, settings, levels):
    runs(norm="bn", lr=0.5, steps=60, kinds=("landscape",), **settings)
    drawn = smoothness.ENTRY.data(load_runs(runs.root, "landscape"))
    assert list(drawn.loc[drawn["series"] == "2/lr", "value"]) == levels


def test_the_plateau_moves_with_the_rate(runs):
    settings = {"schedule": "step", "warmup": 10, "probe_every": 5}
    runs(norm="bn", lr=0.5, steps=50, kinds=("landscape",), **settings)
    landscape = load_runs(runs.root, "landscape")
    drawn = smoothness.ENTRY.data(landscape)
    plateau = drawn[drawn["series"] == "2/lr"].set_index("step")["value"]
    # It rises for ten steps, and falls to a tenth after 20 and after 30 of the 40 others.
    by_hand = {0: 44.0, 5: 44 / 6, 10: 4, 25: 4, 30: 40, 35: 40, 40: 400, 45: 400}
    for step, value in by_hand.items():
        assert plateau[step] == pytest.approx(value)
    assert len(plateau) == 10
    figure = smoothness.ENTRY.draw(landscape)
    (axes,) = figure.axes
    (line,) = [one for one in axes.get_lines() if one.get_linestyle() == "--"]
    assert list(line.get_xdata()) == list(plateau.index)
    assert list(line.get_ydata()) == pytest.approx(list(plateau))
    assert "2/lr" in legend(figure)
    # The panel is as high as what was measured, not as the line.
    measured = drawn.loc[drawn["series"] != "2/lr", "value"]
    assert axes.get_ylim()[1] < 1.3 * measured.max()
