"""Loss on training batches and on the test split."""

import math

import numpy as np
import pandas as pd
from artists import legend, lines, message

from bnkit.report import load_runs
from bnkit.report.figures import accuracy, loss


def test_a_missing_value_is_a_gap_and_not_a_bridge():
    train = pd.DataFrame(
        {
            "run": "r",
            "norm": "bn",
            "lr": 0.1,
            "seed": 0,
            "step": range(6),
            "loss": [1, 2, math.nan, 3, math.inf, 4],
            "accuracy": math.nan,
        }
    )
    (axes,) = loss.ENTRY.draw(train, train.iloc[:0]).axes
    raw = [line for line in lines(axes, "bn") if line.get_alpha() == 0.4]
    assert [list(line.get_ydata()) for line in raw] == [[1, 2], [3], [4]]
    # Nothing was measured of the accuracy: the figure says so.
    assert message(accuracy.ENTRY.draw(train, train.iloc[:0])).startswith("No finite value")


def test_both_axes_are_logarithmic(runs):
    path = runs(model="dln", steps=60)
    panels = loss.ENTRY.draw(*(load_runs(path, kind) for kind in ("train", "eval"))).axes
    assert [axes.get_yscale() for axes in panels] == ["log", "log"]


def test_a_diverged_run_ends_with_a_cross(runs):
    path = runs(status="diverged", steps=60)
    train, evaluation = (load_runs(path, kind) for kind in ("train", "eval"))
    figure = loss.ENTRY.draw(train, evaluation)
    training, test = figure.axes
    (cross,) = [one for one in training.collections if len(one.get_offsets()) == 1]
    last = train.iloc[-1]
    np.testing.assert_allclose(cross.get_offsets()[0], [last["step"], last["loss"]])
    assert not [one for one in test.collections if len(one.get_offsets()) == 1]
    assert "diverged" in legend(figure)
