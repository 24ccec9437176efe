"""Bands of the loss: what is read back from the artists is what was measured."""

import math

import pandas as pd
from artists import arrows, extremes, lines, words
from landscapes import HAND, directions, landscape

from bnkit.report import load_runs
from bnkit.report.figures import loss_band

BROKEN = landscape([(0, 2.0, (1.0, math.nan), (3.0, math.inf), math.inf)])


def test_loss_band_is_the_range_over_step_sizes():
    (axes,) = loss_band.ENTRY.draw(HAND).axes
    assert extremes(axes, 0) == (1.0, 5.0) and extremes(axes, 10) == (0.5, 2.0)
    assert axes.get_yscale() == "log" and axes.get_xlim()[0] == 0
    assert axes.get_xlabel() == "step" and axes.get_ylabel() == "loss"
    assert [2.0, 1.0] in [list(line.get_ydata()) for line in lines(axes, "bn")]


def test_the_line_never_leaves_the_band():
    """The loss itself, at s = 0, belongs to it, though the grid of step sizes begins above 0."""
    data = loss_band.ENTRY.data(landscape([(0, 9.0, (3.0, 7.0), (1, 2), 10.0)]))
    assert data[["low", "loss", "high"]].to_numpy().tolist() == [[3.0, 9.0, 9.0]]
    data = loss_band.ENTRY.data(landscape([(0, 1.0, (3.0, 7.0), (1, 2), 10.0)]))
    assert data[["low", "loss", "high"]].to_numpy().tolist() == [[1.0, 1.0, 7.0]]


def test_several_seeds_give_the_means_of_min_and_of_max():
    other = landscape([(0, 4.0, (3.0, 7.0), (1, 2), 10.0)], run="s", seed=1)
    data = loss_band.ENTRY.data(pd.concat([HAND, other]))
    # Step 10 has been probed in one of the two runs only.
    mean = data[data["series"] == "mean"]
    assert mean[["step", "low", "high", "loss", "runs"]].to_numpy().tolist() == [[0, 2, 6, 3, 2]]
    runs = data[data["series"] == "run"].sort_values(["run", "step"])
    assert runs[["step", "low", "high"]].to_numpy().tolist() == [[0, 1, 5], [10, 0.5, 2], [0, 3, 7]]
    assert "Areas of 2 runs, lines: their means." in words(
        loss_band.ENTRY.draw(pd.concat([HAND, other]))
    )


def test_a_loss_that_is_nan_leaves_the_band_without_an_upper_end():
    records = pd.concat([HAND.query("step == 10"), BROKEN])
    data = loss_band.ENTRY.data(records)
    assert data["high"].tolist() == [math.inf, 2.0] and data["low"].tolist() == [1.0, 0.5]
    (axes,) = loss_band.ENTRY.draw(records).axes
    assert arrows(axes) == [0.0]
    low, high = extremes(axes, 0)
    assert low == 1.0 and high > axes.get_ylim()[1]
    assert axes.get_ylim()[1] < 10


def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(runs):
    runs(seed=0, steps=30, width=0.25)
    runs(seed=1, steps=30, width=0.5)
    data = loss_band.ENTRY.data(load_runs(runs.root, "landscape"))
    assert list(data["condition"].cat.categories) == ["lr 0.5, width 0.25", "lr 0.5, width 0.5"]
    assert set(data["runs"]) == {1}


def test_random_bands_are_over_the_directions_too():
    random = directions((1.0, 7.0), (3.0, 5.0), (0.5, 6.0))
    (axes,) = loss_band.RANDOM.draw(random).axes
    assert extremes(axes, 0) == (0.5, 15.0)
    data = loss_band.RANDOM.data(random)
    assert (data["low"][0], data["high"][0]) == (0.5, 15.0) and list(data["step"]) == [0, 10]


def test_losses_over_many_decades_stay_legible(runs):
    for norm in ("none", "bn"):
        runs(model="dln", norm=norm, steps=300)
    (axes,) = loss_band.ENTRY.draw(load_runs(runs.root, "landscape")).axes
    low, high = axes.get_ylim()
    assert low < 8e3 and 1e19 < high < 1e22
    axes.figure.draw_without_rendering()
    shown = [tick for tick in axes.yaxis.get_majorticklocs() if low <= tick <= high]
    assert 4 <= len(shown) <= 8
    assert arrows(axes) == [0.0]
