"""Signal propagation: values over depth at the first and the last capture in common."""

import math

import numpy as np
import pandas as pd
import pytest
from artists import arrows, lines, message, titles

from bnkit.report import frames
from bnkit.report.figures import signal_propagation


def _frame(steps, norm="bn", seed=0, lr=0.1, factor=1.0):
    """Three layers; values tell step, layer and quantity apart."""
    rows = [
        {
            "run": f"{norm}{seed}{lr}",
            "norm": norm,
            "lr": lr,
            "seed": seed,
            "step": step,
            "layer": layer,
            "squared_mean": factor * (1.0 + step + number),
            "variance": factor * (0.1 + step + number),
            "rank": 30.0 - number,
            "effective_rank": 3.5 - number,
        }
        for step in steps
        for number, layer in enumerate(("b", "a", "c"), start=1)
    ]
    return pd.DataFrame(rows)


def _line(axes, norm="bn"):
    (line,) = lines(axes, norm)
    return line.get_xydata()


def test_every_quantity_is_drawn_over_depth_at_the_first_and_the_last_capture():
    figure = signal_propagation.ENTRY.draw(_frame([0, 10, 20]))
    panels = np.reshape(figure.axes, (2, 4))
    assert titles(figure.axes) == ["step 0, lr 0.1", "step 20, lr 0.1"]
    for row, step in zip(panels, (0, 20), strict=True):
        drawn = [_line(axes) for axes in row]
        for points in drawn:
            assert points[:, 0].tolist() == [1, 2, 3]
        expected = [[2 + step, 3 + step, 4 + step], [1.1 + step, 2.1 + step, 3.1 + step]]
        expected += [[2.5, 1.5, 0.5], [29, 28, 27]]
        np.testing.assert_allclose([points[:, 1] for points in drawn], expected)
    assert [axes.get_yscale() for axes in panels[0]] == ["log", "log", "linear", "linear"]
    assert [axes.get_ylabel() for axes in panels[1]] == [
        one.label for one in signal_propagation.QUANTITIES
    ]
    assert [axes.get_xlabel() for axes in panels[1]] == ["layer"] * 4
    for first, last in panels.T:
        assert first.get_ylim() == last.get_ylim()


def test_a_very_deep_network_has_wide_panels():
    frame = _frame([0, 10])
    layers = [frame.assign(layer=frame["layer"] + str(i)) for i in range(12)]
    deep = pd.concat(layers).sort_values("step", kind="stable")
    panels = np.reshape(signal_propagation.ENTRY.draw(deep).axes, (4, 2))
    assert [axes.get_xlabel() for axes in panels[-1]] == ["layer"] * 2
    shown = [one.label for one in signal_propagation.QUANTITIES]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == shown
    two = pd.concat([deep, deep.assign(lr=0.5, run="other")])
    assert len(signal_propagation.ENTRY.draw(two).axes) == 16


def test_the_last_capture_is_one_that_all_runs_have():
    both = pd.concat([_frame([0, 10, 20, 30]), _frame([0, 10, 20], norm="none")])
    data = signal_propagation.ENTRY.data(both)
    assert data.groupby("time")["step"].unique().map(list).to_dict() == {"first": [0], "last": [20]}
    # Other conditions have their own.
    data = signal_propagation.ENTRY.data(pd.concat([both, _frame([5, 70], lr=0.5)]))
    assert set(data.loc[data["condition"] == "lr 0.5", "step"]) == {5, 70}
    assert set(data.loc[data["condition"] == "lr 0.1", "step"]) == {0, 20}


def test_one_capture_is_shown_once():
    assert set(signal_propagation.ENTRY.data(_frame([0]))["time"]) == {"first"}
    assert len(signal_propagation.ENTRY.draw(_frame([0])).axes) == 4


def test_seeds_have_a_geometric_mean_of_moments_and_an_arithmetic_one_of_ranks():
    seeds = pd.concat([_frame([0]), _frame([0], seed=1, factor=100.0)])
    seeds.loc[seeds["seed"] == 1, "rank"] += 10
    data = signal_propagation.ENTRY.data(seeds).query("series == 'mean' and number == 1")
    values = data.set_index("quantity")["value"]
    assert values["squared_mean"] == pytest.approx(20.0)
    assert values["rank"] == pytest.approx(34.0)


def test_a_value_without_bound_is_an_arrow_and_nan_a_gap():
    table = _frame([0])
    table.loc[1, "variance"], table.loc[1, "rank"] = math.inf, math.nan
    _, variance, _, rank = signal_propagation.ENTRY.draw(table).axes
    assert arrows(variance) == [2.0]
    drawn = [line.get_xdata().tolist() for line in rank.get_lines()]
    assert drawn == [[1.0], [3.0]]


def test_a_quantity_without_any_value_does_not_hide_the_others():
    table = _frame([0, 10]).assign(effective_rank=math.nan, squared_mean=0.0)
    squared, variance, effective, rank = signal_propagation.ENTRY.draw(table).axes[:4]
    assert not squared.get_lines() and not effective.get_lines()
    assert len(variance.get_lines()) == len(rank.get_lines()) == 1


def test_runs_without_a_common_capture_or_any_value_give_a_message():
    apart = pd.concat([_frame([0]), _frame([10], norm="none")])
    for table in (apart, _frame([0]).iloc[:0]):
        text = message(signal_propagation.ENTRY.draw(table))
        assert text.startswith("No finite value")


def test_records_on_disk_are_drawn(runs):
    runs(norm="none", model="dln", steps=60, kinds=("signal_propagation",))
    table = frames.load_runs(runs.root, "signal_propagation")
    points = _line(signal_propagation.ENTRY.draw(table).axes[1], "none")
    first = table[table["step"] == 0]
    assert len(points) == 25
    np.testing.assert_allclose(points[:, 1], first["variance"])
