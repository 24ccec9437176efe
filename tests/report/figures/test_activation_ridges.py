"""Ridges of activations: what is drawn is what the histograms and moments say."""

import math

import numpy as np
import pandas as pd
import pytest
from artists import message

from bnkit.report import frames, naming
from bnkit.report.drawing import style
from bnkit.report.figures import activation_ridges

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
EDGES = tuple(float(edge) for edge in range(-4, 5))
LAYERS = [f"conv{number}" for number in range(1, 12)]
LEFT_HALF, CENTRE = (0, 0, 2, 6, 0, 0, 0, 0), (0, 0, 0, 5, 5, 0, 0, 0)


def _row(step, mean=0.0, histogram=CENTRE, norm="bn", seed=0, layer="conv1", unit=7, **fields):
    """One row; the quantiles are those of a distribution from -4 to 4 without a middle half."""
    return {
        "run": f"{norm}{seed}",
        "norm": norm,
        "lr": 0.1,
        "seed": seed,
        "step": step,
        "layer": layer,
        "unit": float(unit),
        "mean": mean,
        "variance": 1.0,
        "quantiles": (-4.0, -3.0, 0.0, 0.0, 0.0, 3.0, 4.0),
        "quantile_levels": LEVELS,
        "histogram": histogram,
        "edges": EDGES,
        **fields,
    }


def _frame(*rows):
    return pd.DataFrame(list(rows))


def _curves(axes, colour):
    """Points of the ridges' outlines, from the top to the bottom."""
    found = [line.get_xydata() for line in axes.get_lines() if line.get_color() == colour]
    return sorted(found, key=lambda points: -points[0, 1])


def _ticks(axes):
    """Places of the marks of means."""
    lines = [line for line in axes.get_lines() if line.get_color() == style.INK]
    return [line.get_xdata()[0] for line in lines if len(line.get_xdata()) == 2]


def test_density_is_the_share_of_values_over_the_width_of_the_bin():
    data = activation_ridges.ENTRY.data(_frame(_row(0, histogram=LEFT_HALF)))
    # No joining: the middle half has no width. 8 values, bins of width 1.
    assert data["density"].tolist() == [0, 0, 0.25, 0.75, 0, 0, 0, 0]
    assert data["height"].tolist() == pytest.approx([0, 0, 1 / 3, 1, 0, 0, 0, 0])
    assert data["left"].tolist() == list(EDGES[:-1]) and data["right"].tolist() == list(EDGES[1:])
    assert set(data["layer"]) == {"conv1"} and set(data["unit"]) == {7}


def test_narrow_bins_are_joined_as_far_as_the_values_suffice():
    counts = np.array([1, 2, 3, 4, 5, 6, 7, 8])
    row = _row(0, histogram=tuple(counts), quantiles=(-4.0, -3.0, -2.0, 0.0, 1.5, 3.0, 4.0))
    # 2 * 3.5 / 36^(1/3) = 2.12: three bins of width 1 each, and what remains goes to the last.
    data = activation_ridges.ENTRY.data(_frame(row))
    assert data[["left", "right"]].to_numpy().tolist() == [[-4, -1], [-1, 4]]
    np.testing.assert_allclose(data["density"], [6 / 36 / 3, 30 / 36 / 5])


def test_joining_keeps_every_value_on_the_grid_of_the_probe():
    values = np.random.default_rng(0).normal(1.0, 2.0, 500)
    edges = 0.5 * np.sinh(np.linspace(-15.2, 15.2, 153))
    counts, _ = np.histogram(values, edges)
    row = _row(0, histogram=tuple(counts), edges=tuple(edges))
    row["quantiles"] = tuple(np.quantile(values, LEVELS))
    data = activation_ridges.ENTRY.data(_frame(row))
    shown = (values > data["left"].min()) & (values < data["right"].max())
    area = (data["density"] * (data["right"] - data["left"])).sum()
    # The bins at the ends are cut off at the panel's.
    assert shown.mean() > 0.98 and area == pytest.approx(shown.mean(), abs=0.02)
    inner = data.iloc[1:-1]
    width = 2 * np.subtract(*np.quantile(values, (0.75, 0.25))) / 500 ** (1 / 3)
    assert (inner["right"] - inner["left"] >= width).all()
    for one in inner.itertuples():
        inside = np.mean((values >= one.left) & (values < one.right))
        assert one.density == pytest.approx(inside / (one.right - one.left))
    assert (data["left"].iloc[1:].to_numpy() == data["right"].iloc[:-1].to_numpy()).all()


def test_a_ridge_has_its_outline_its_mean_and_its_step():
    rows = [_row(0, -0.5, LEFT_HALF), _row(50, 0.5), _row(100, 99.0)]
    (axes,) = activation_ridges.ENTRY.draw(_frame(*rows)).axes
    first, second, third = _curves(axes, naming.colour("bn"))
    middles = np.arange(-3.5, 4)
    np.testing.assert_allclose(first[1:-1, 0], middles)
    peak = activation_ridges.HEIGHT
    np.testing.assert_allclose(first[1:-1, 1], [0, 0, peak / 3, peak, 0, 0, 0, 0])
    np.testing.assert_allclose(second[1:-1, 1], -1 + np.isin(middles, (-0.5, 0.5)) * peak)
    assert third[0, 1] == -2
    assert list(axes.get_yticks()) == [0, -1, -2]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0", "50", "100"]
    assert _ticks(axes) == [-0.5, 0.5]
    # The mean of the last capture is beyond the axis.
    (beyond,) = [line for line in axes.get_lines() if line.get_marker() == ">"]
    assert beyond.get_xdata()[0] == 1 and -2 < beyond.get_ydata()[0] < -1
    assert axes.get_xlabel() == "input of the non-linearity"
    assert axes.get_ylabel() == "conv1 (layer 1)\nunit 7, step"


def test_later_ridges_are_darker_and_in_front():
    (axes,) = activation_ridges.ENTRY.draw(_frame(*[_row(step) for step in (0, 10, 20)])).axes
    fills = sorted(axes.collections, key=lambda fill: -fill.get_paths()[0].vertices[:, 1].min())
    lightness = [fill.get_facecolor()[0, :3].sum() for fill in fills]
    assert len(fills) == 3 and lightness == sorted(lightness, reverse=True)
    assert len({round(one, 6) for one in lightness}) == 3
    order = [fill.get_zorder() for fill in fills]
    assert order == sorted(order) and len(set(order)) == 3


def test_the_first_unit_of_the_run_with_the_lowest_seed_is_shown():
    rows = [_row(0, seed=seed, unit=unit) for seed in (3, 1, 2) for unit in (5, 9)]
    data = activation_ridges.ENTRY.data(_frame(*rows))
    assert set(data["seed"]) == {1} and set(data["unit"]) == {5} and len(data) == 8


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (range(0, 201, 25), list(range(0, 201, 25))),
        (range(0, 901, 10), list(range(0, 901, 100))),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 900], [0, 10, 900]),
    ],
)
def test_captures_are_spread_over_the_run(steps, expected):
    data = activation_ridges.ENTRY.data(_frame(*[_row(step) for step in steps]))
    assert sorted(set(data["step"])) == expected


def test_all_arms_of_a_layer_have_the_same_axis_and_an_outlier_does_not_set_it():
    far = tuple(100 * edge for edge in EDGES)
    rows = [
        _row(step, norm=norm, layer=layer, edges=far)
        for norm in ("none", "bn")
        for step in (0, 10, 20)
        for layer in LAYERS
    ]
    for row in rows:
        if row["layer"] == LAYERS[9]:
            row["quantiles"] = tuple(10 * one for one in row["quantiles"])
    # Of the third layer one capture is a million times as wide, and one has no quantiles.
    third = [row for row in rows if row["layer"] == LAYERS[2]]
    third[0]["quantiles"] = tuple(1e6 * one for one in third[0]["quantiles"])
    third[1]["quantiles"] = (math.nan,) * len(LEVELS)
    figure = activation_ridges.ENTRY.draw(_frame(*rows))
    limits = [axes.get_xlim() for axes in figure.axes]
    # Three typical widths, 8, from the centre; and to the outermost quantiles. 12 % more of each.
    np.testing.assert_allclose(limits[:2], [[-29.76, 29.76]] * 2)
    np.testing.assert_allclose(limits[2:], [[-49.6, 49.6]] * 2)


def test_a_capture_of_nan_is_named_and_an_early_end_leaves_room():
    empty = (0,) * 8
    rows = [_row(0), _row(10), _row(20), _row(0, norm="l1"), _row(10, math.nan, empty, "l1")]
    bn, l1 = activation_ridges.ENTRY.draw(_frame(*rows)).axes
    assert [text.get_text() for text in l1.texts] == ["NaN"] and not bn.texts
    assert l1.texts[0].get_position()[1] == -1 and len(l1.collections) == 1
    assert list(l1.get_yticks()) == [0, -1, -2] and l1.get_ylim() == bn.get_ylim()
    # The steps are those of the panel before.
    assert [tick.get_text() for tick in l1.get_yticklabels()] == [""] * 3
    data = activation_ridges.ENTRY.data(_frame(*rows))
    assert data.query("norm == 'l1' and step == 10")["density"].isna().tolist() == [True]


def test_many_arms_take_several_rows_of_panels():
    norms = ("none", "bn", "l1", "l2", "linf")
    rows = [_row(0, norm=norm, layer=layer) for norm in norms for layer in "abcdefgh"]
    grid = np.reshape(activation_ridges.ENTRY.draw(_frame(*rows)).axes, (4, 3))
    titles = [[axes.get_title(loc="left") for axes in row if axes.has_data()] for row in grid]
    assert titles[:2] == [
        ["none, lr 0.1", "BN, lr 0.1", "$L_1$, lr 0.1"],
        ["$L_2$, lr 0.1", r"$L_\infty$, lr 0.1"],
    ]
    assert titles[2:] == titles[:2]
    labels = [row[0].get_ylabel() for row in grid]
    # Layers 3 and 11 where there are such, and never the last.
    assert [label.split("\n")[0] for label in labels] == [
        *["c (layer 3)"] * 2,
        *["g (layer 7)"] * 2,
    ]
    assert not grid[1, 2].axison


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [1]), (2, [1]), (8, [3, 7]), (11, [3, 10]), (16, [3, 11])]
)
def test_the_layers_of_the_paper_are_shown(count, expected):
    rows = [_row(0, layer=f"layer{number}") for number in range(1, count + 1)]
    data = activation_ridges.ENTRY.data(_frame(*rows))
    assert sorted(set(data["number"])) == expected
    assert sorted(set(data["layer"])) == sorted(f"layer{number}" for number in expected)


def test_of_a_deep_network_layers_9_and_13_are_shown_and_of_each_network_its_own():
    deep = [_row(0, layer=f"dense{number}") for number in range(1, 26)]
    flat = [_row(0, layer=f"conv{number}", seed=1, lr=0.5) for number in range(1, 12)]
    data = activation_ridges.ENTRY.data(_frame(*deep, *flat))
    assert set(data["layer"]) == {"dense9", "dense13", "conv3", "conv10"}


def test_without_a_value_there_is_nothing_to_draw():
    assert message(activation_ridges.ENTRY.draw(_frame(_row(0)).iloc[:0])).startswith("No finite")


def test_records_on_disk_are_drawn(runs):
    for norm in ("none", "bn"):
        runs(norm=norm, lr=0.1, steps=100, kinds=("activations",))
    table = frames.load_runs(runs.root, "activations")
    data = activation_ridges.ENTRY.data(table)
    assert set(data["layer"]) == {"conv3", "dense10"} and set(data["norm"]) == {"none", "bn"}
    figure = activation_ridges.ENTRY.draw(table)
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == [
        "conv3 (layer 3)\nunit 3, step",
        "dense10 (layer 10)\nunit 3, step",
    ]
    first = table.query("layer == 'conv3' and norm == 'none' and unit == 3")
    assert _ticks(figure.axes[0]) == first["mean"].tolist()
