"""Where panels stand, and what they share."""

import math

import pandas as pd
import pytest
from artists import dashed, legend, message, titles

from bnkit.report.drawing import panels, tables
from bnkit.report.statistics import arms

A, B = tables.Quantity("a", "a label"), tables.Quantity("b", "b label", "linear")


def _frame(norms=("bn",), rates=(0.1,), steps=(0, 10)):
    rows = [
        {"run": f"{norm}{lr}", "norm": norm, "lr": lr, "seed": 0, "step": step, "a": 1.0, "b": lr}
        for norm in norms
        for lr in rates
        for step in steps
    ]
    return arms.with_condition(pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1], [1]),
        ([2], [2]),
        ([3], [3]),
        ([4], [2, 2]),
        ([5], [3, 2]),
        ([7], [3, 3, 1]),
        ([8], [3, 3, 2]),
        ([2, 4], [2, 2, 2]),
        ([0], []),
    ],
)
def test_rows_are_filled_evenly_and_a_group_starts_a_new_one(counts, expected):
    rows = panels.wrapped([list(range(count)) for count in counts])
    assert [len(row) for row in rows] == expected
    assert [one for row in rows for one in row] == [i for count in counts for i in range(count)]


def test_panels_without_a_partner_stay_empty():
    frame = _frame(rates=(0.1, 0.2, 0.3, 0.4, 0.5))
    rows = panels.by_row([A], panels.of_conditions(frame))
    figure = panels.draw("", tables.curves(frame, [A]), rows, [])
    assert len(figure.axes) == 6
    assert [axes.has_data() for axes in figure.axes] == [True] * 5 + [False]
    assert not figure.axes[5].axison and figure.axes[2].get_xlabel() == "step"


def test_quantities_stand_in_columns_or_in_rows_and_share_their_axes():
    frame = _frame(rates=(0.1, 0.5))
    table = tables.curves(frame, [A, B])
    places = panels.of_conditions(frame)
    figure = panels.draw("", table, panels.by_row([A, B], places), [])
    assert titles(figure.axes) == ["lr 0.1", "lr 0.5"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["a label", "b label"] * 2
    _, first, _, second = figure.axes
    assert first.get_ylim() == second.get_ylim() == pytest.approx((0.08, 0.52))
    steps = panels.of_steps(frame)
    figure = panels.draw("", table, panels.by_column([A, B], steps), [])
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["a label", "", "b label", ""] * 2
    assert titles(figure.axes) == [
        f"step {step}, {lr}" for lr in ("lr 0.1", "lr 0.5") for step in (0, 10)
    ]


def test_more_than_two_normalisations_have_a_panel_each():
    two, three = (_frame(norms) for norms in (("none", "bn"), ("none", "bn", "l1")))
    for frame, expected in (
        (two, ["lr 0.1"]),
        (three, ["none, lr 0.1", "BN, lr 0.1", "$L_1$, lr 0.1"]),
    ):
        rows = panels.of_arms(A, tables.curves(frame, [A]))
        assert [panel.title for row in rows for panel in row] == expected


def test_rows_without_a_normalisation_are_dashed_lines_of_their_condition():
    frame = _frame(rates=(0.1, 0.5))
    level = pd.DataFrame({"condition": ["lr 0.5"], "series": "level", "value": [7.0]})
    table = pd.concat([tables.curves(frame, [A]), level], ignore_index=True)
    quantity = tables.Quantity("a", "", level=3.0, level_label="levels")
    rows = panels.by_row([quantity], panels.of_conditions(frame))
    figure = panels.draw("", table.assign(quantity="a"), rows, [])
    assert [dashed(axes) for axes in figure.axes] == [[3.0], [3.0, 7.0]]
    assert legend(figure) == ["BN", "levels"] and figure.axes[0].get_ylim()[1] > 7


def test_many_points_are_a_line_without_dots():
    for count, marker in ((50, "o"), (100, "None")):
        frame = _frame(steps=range(count))
        rows = panels.by_row([A], panels.of_conditions(frame))
        (line,) = panels.draw("", tables.curves(frame, [A]), rows, []).axes[0].get_lines()
        assert line.get_marker() == marker


def test_a_panel_says_why_it_is_empty():
    frame = _frame().assign(b=math.nan)
    rows = panels.by_row([A, B], panels.of_conditions(frame))
    empty = panels.draw("", tables.curves(frame, [A, B]), rows, []).axes[1]
    assert empty.texts[0].get_text() == "no finite value" and not len(empty.get_yticks())
    frame = frame.assign(b=math.inf)
    empty = panels.draw("", tables.curves(frame, [A, B]), rows, []).axes[1]
    assert empty.texts[0].get_text() == "infinite"
    figure = panels.draw("", tables.curves(frame, [B]), rows, [], message="Nothing.")
    assert message(figure) == "Nothing."
