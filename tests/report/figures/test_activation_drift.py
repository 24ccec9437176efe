"""Drift of activations: what is drawn is what the changes of the moments say."""

import math

import numpy as np
import pandas as pd
import pytest
from artists import arrows, legend, message

from bnkit.report.figures import activation_drift


def _frame(rows, layer="conv1"):
    """Rows of (step, seed, unit, change of the mean); the variance changes -10 times as much."""
    return pd.DataFrame(
        [
            {
                "run": f"bn{seed}",
                "norm": "bn",
                "lr": 0.1,
                "seed": seed,
                "step": step,
                "layer": layer,
                "unit": float(unit),
                "mean_change": change,
                "variance_change": -10 * change,
            }
            for step, seed, unit, change in rows
        ]
    )


def test_drift_is_the_mean_size_of_the_changes_of_the_units():
    changes = {0: (math.nan, math.nan), 10: (-3.0, 1.0), 20: (math.inf, 1.0), 30: (math.nan, 1.0)}
    frame = _frame(
        [(step, 0, unit, one) for step, pair in changes.items() for unit, one in enumerate(pair)]
    )
    data = activation_drift.ENTRY.data(frame)
    values = data.pivot(index="step", columns="moment", values="value")
    # At step 0 there is nothing before; one unit that is NaN makes the layer NaN.
    np.testing.assert_allclose(values["mean"], [math.nan, 2.0, math.inf, math.nan])
    np.testing.assert_allclose(values["variance"], [math.nan, 20.0, math.inf, math.nan])
    mean, variance = activation_drift.ENTRY.draw(frame).axes
    for axes, value in ((mean, 2.0), (variance, 20.0)):
        assert axes.get_yscale() == "log" and axes.get_xlim()[0] == 0
        (line,) = [one for one in axes.get_lines() if one.get_marker() != "^"]
        assert line.get_xydata().tolist() == [[10.0, pytest.approx(value)]]
        assert arrows(axes) == [20.0]


def test_drift_is_averaged_over_seeds_on_the_logarithmic_axis():
    data = activation_drift.ENTRY.data(_frame([(10, 0, 7, 1.0), (10, 1, 7, -100.0)]))
    data = data.query("moment == 'mean'")
    assert data.query("series == 'run'")["value"].tolist() == [1.0, 100.0]
    (mean,) = data.query("series == 'mean'")["value"]
    assert mean == pytest.approx(10.0)


def test_every_condition_shows_its_own_layers():
    deep = [_frame([(0, 0, 7, 1.0)], f"dense{number}") for number in range(1, 26)]
    flat = [_frame([(0, 1, 7, 1.0)], f"conv{number}").assign(lr=0.5) for number in range(1, 12)]
    data = activation_drift.ENTRY.data(pd.concat([*deep, *flat]))
    shown = {"lr 0.1": {"dense9", "dense13"}, "lr 0.5": {"conv3", "conv10"}}
    found = data.groupby("condition", observed=True)["layer"].unique().map(set).to_dict()
    assert found == shown


def test_a_run_that_diverged_ends_with_a_cross():
    frame = _frame([(0, 0, 7, math.nan), (10, 0, 7, 3.0)])
    frame.insert(0, "status", "diverged")
    figure = activation_drift.ENTRY.draw(frame)
    for axes, height in zip(figure.axes, (3.0, 30.0), strict=True):
        (cross,) = [one for one in axes.collections if len(one.get_offsets()) == 1]
        assert list(cross.get_offsets()[0]) == [10, height]
    assert "diverged" in legend(figure)


def test_without_a_change_there_is_no_drift_to_draw():
    first = _frame([(0, 0, 7, math.nan)])
    for frame in (first, first.iloc[:0]):
        assert message(activation_drift.ENTRY.draw(frame)).startswith("No finite value")
