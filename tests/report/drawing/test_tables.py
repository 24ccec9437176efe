"""What is drawn, and at which steps, against values worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from bnkit.report.drawing import tables
from bnkit.report.statistics import arms


def _frame(steps, run="bn0", norm="bn", lr=0.1, value=1.0):
    columns = {"run": run, "norm": norm, "lr": lr, "seed": 0}
    return pd.DataFrame([{**columns, "step": step, "x": value + step} for step in steps])


def test_empty_tables_leave_no_trace_in_a_joined_one():
    some, none = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": ["text"]}).iloc[:0]
    joined = tables.join([none, some, some])
    assert joined["a"].tolist() == [1, 2, 1, 2] and joined["a"].dtype == some["a"].dtype
    assert joined.index.tolist() == [0, 1, 2, 3]
    assert list(tables.join([none, none])) == ["a"] and len(tables.join([none, none])) == 0


@pytest.mark.parametrize(
    ("scale", "includes", "values", "expected"),
    [
        ("symlog", (), [1.0, 2.0, math.nan], "log"),
        ("symlog", (), [1.0, 0.0], "symlog"),
        ("symlog", (), [], "log"),
        ("log", (), [1.0, -1.0], "log"),
        ("linear", (), [1.0, 2.0], "linear"),
        ("linear", (), [0.001, 0.001, 2.0], "symlog"),
        ("linear", (0.0, 1.0), [0.001, 0.001, 2.0], "linear"),
        ("percent", (), [0.001, 0.001, 2.0], "percent"),
    ],
)
def test_the_scale_follows_from_the_values(scale, includes, values, expected):
    quantity = tables.Quantity("x", "label", scale, includes)
    assert quantity.scale_of(pd.Series(values, dtype=float)) == expected


def test_means_are_geometric_on_a_logarithmic_scale_alone():
    frame = pd.concat([_frame([0], run="bn0", value=2.0), _frame([0], run="bn1", value=8.0)])
    frame = arms.with_condition(frame)
    quantities = [tables.Quantity("x", "", "log"), tables.Quantity("x", "", "linear")]
    table = tables.curves(frame, quantities)
    assert set(table["quantity"]) == {"x"}
    means = table.loc[table["series"] == "mean", "value"]
    np.testing.assert_allclose(means, [4.0, 5.0])


def test_first_and_last_steps_are_those_that_all_runs_of_an_arm_have():
    frame = pd.concat(
        [
            _frame([0, 10, 20, 30]),
            _frame([0, 10, 20], run="bn1"),
            _frame([0, 10, 20, 30], run="none0", norm="none"),
            _frame([5, 70], run="bn2", lr=0.5),
        ]
    )
    frame = arms.with_condition(frame)
    ends = tables.at_ends(frame)
    shown = ends.groupby(["condition", "norm"], observed=True)["step"].unique().map(list).to_dict()
    # Of BN one run ends at step 20, so that it has no mean at the last one.
    assert shown == {
        ("lr 0.1", "bn"): [0],
        ("lr 0.1", "none"): [0, 30],
        ("lr 0.5", "bn"): [5, 70],
    }
    common = tables.common_steps(frame, ["condition"])
    assert common.groupby("condition", observed=True)["step"].max().tolist() == [20, 70]


def test_a_step_of_two_times_is_there_once():
    frame = arms.with_condition(_frame([0, 10]).assign(number=1))
    steps = pd.Series({"lr 0.1": 0})
    times = {"first": steps, "middle": steps, "last": steps + 10}
    table = tables.at_times(frame, times, [tables.Quantity("x", "", "linear")], "number")
    assert table[["time", "step", "value"]].to_numpy().tolist() == [
        ["first", 0, 1.0],
        ["last", 10, 11.0],
    ]
