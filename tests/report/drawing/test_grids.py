"""Figures of quantities as the records have them."""

import pandas as pd
from artists import titles

from bnkit.report.drawing import grids, tables

QUANTITIES = (tables.Quantity("a", "a"), tables.Quantity("b", "b"))


def _records(layers=3, steps=(0, 5, 10)):
    rows = [
        {"run": "r", "norm": "bn", "lr": 0.1, "seed": 0, "step": step, "layer": f"l{layer}"}
        for step in steps
        for layer in range(1, layers + 1)
    ]
    return pd.DataFrame(rows).assign(a=1.0, b=2.0)


def _footer(records):
    return [f"{len(records)} records."]


def test_over_steps_has_a_panel_for_each_quantity():
    figure = grids.OverSteps("Title", QUANTITIES, _footer).draw(_records(layers=1))
    assert [axes.get_ylabel() for axes in figure.axes] == ["a", "b"]
    assert "3 records." in figure.texts[-1].get_text()


def test_layers_have_rows_or_of_one_quantity_columns():
    several = grids.OverStepsOfLayers("Title", QUANTITIES, _footer).draw(_records())
    assert titles(several.axes[::2]) == ["l2 (layer 2), lr 0.1", "l3 (layer 3), lr 0.1"]
    assert not titles(several.axes[1::2])
    single = grids.OverStepsOfLayers("Title", QUANTITIES[:1], _footer).draw(_records())
    assert titles(single.axes) == titles(several.axes[::2])
    assert [axes.get_ylabel() for axes in single.axes] == ["a", ""]


def test_layers_in_rows_have_axes_of_their_own_and_side_by_side_the_same():
    records = _records()
    records.loc[records["layer"] == "l3", "a"] = 1e6
    second, _, third, _ = grids.OverStepsOfLayers("Title", QUANTITIES, _footer).draw(records).axes
    assert second.get_ylim()[1] < 2 and third.get_ylim()[0] > 1e5
    second, third = grids.OverStepsOfLayers("Title", QUANTITIES[:1], _footer).draw(records).axes
    assert second.get_ylim() == third.get_ylim()
    assert second.get_ylim()[0] < 1 and third.get_ylim()[1] > 1e6


def test_over_depth_has_the_first_and_the_last_step():
    figure = grids.OverDepth("Title", QUANTITIES, _footer).draw(_records())
    assert titles(figure.axes) == ["step 0, lr 0.1", "step 10, lr 0.1"]
    assert [list(axes.get_lines()[0].get_xdata()) for axes in figure.axes] == [[1, 2, 3]] * 4
    assert figure.axes[-1].get_xlabel() == "layer"
