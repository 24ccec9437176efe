"""Conditions, curves, bands and ends of arms, against values worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from bnkit.report.statistics import arms


def _runs(values, **settings):
    """One row per run and step: `values` is a list per run."""
    settings = {"norm": "bn", "lr": 0.1, **settings}
    rows = [
        {"run": f"r{seed}", "seed": seed, **settings, "step": step, "x": value}
        for seed, series in enumerate(values)
        for step, value in enumerate(series)
    ]
    return pd.DataFrame(rows)


def _mean(frame, **options):
    table = arms.curves(arms.with_condition(frame), "x", **options)
    return table[table["series"] == "mean"].reset_index(drop=True)


@pytest.mark.parametrize(("count", "quantile"), [(5, 2.77645), (41, 2.02108)])
def test_the_interval_of_the_mean_is_student_s(count, quantile):
    values = np.random.default_rng(0).normal(size=count)
    row = _mean(_runs([[one] for one in values])).iloc[0]
    half = quantile * values.std(ddof=1) / math.sqrt(count)
    assert row["value"] == pytest.approx(values.mean()) and row["runs"] == count
    assert (row["low"], row["high"]) == pytest.approx(
        (values.mean() - half, values.mean() + half), rel=1e-4
    )


def test_fewer_than_five_runs_have_no_interval_but_are_shown_themselves():
    table = arms.curves(arms.with_condition(_runs([[1.0], [2.0], [4.0], [5.0]])), "x")
    assert table[["low", "high"]].isna().all(axis=None)
    assert table.loc[table["series"] == "run", "value"].tolist() == [1.0, 2.0, 4.0, 5.0]
    assert table.loc[table["series"] == "mean", "value"].tolist() == [3.0]


def test_an_interval_ends_where_the_possible_does():
    frame = _runs([[0.0], [1.0], [0.0], [1.0], [1.0]])
    assert _mean(frame)["high"][0] > 1 and _mean(frame)["low"][0] < 0
    row = _mean(frame, possible=(0, 1)).iloc[0]
    assert (row["low"], row["value"], row["high"]) == (0.0, 0.6, 1.0)
    row = _mean(frame, possible=(None, 1)).iloc[0]
    assert row["low"] < 0 and row["high"] == 1


def test_a_single_run_is_its_own_mean_without_an_interval():
    table = arms.curves(arms.with_condition(_runs([[1.0, 2.0]])), "x")
    assert set(table["series"]) == {"mean"} and list(table["value"]) == [1.0, 2.0]
    assert table[["low", "high"]].isna().all(axis=None)


def test_a_mean_ends_where_a_run_ends_and_an_infinite_value_stays():
    frame = _runs([[1.0, 2.0, 3.0, np.inf], [3.0, np.nan, 5.0, 1.0], [5.0, 6.0]])
    mean = _mean(frame)["value"]
    assert mean[0] == 3.0 and mean[1:3].isna().all() and mean[3] == math.inf


def test_logarithms_are_averaged_and_what_has_none_is_left_out():
    mean = _mean(_runs([[1.0, 0.0], [100.0, 4.0]] * 3), log=True)
    assert mean["value"][0] == pytest.approx(10.0) and math.isnan(mean["value"][1])
    # Logarithms 0 and 2, three times each: deviation sqrt(6/5), and t for 6 runs is 2.57058.
    half = 2.57058 * math.sqrt(6 / 5) / math.sqrt(6)
    assert mean["high"][0] == pytest.approx(10 ** (1 + half), rel=1e-3)


def test_running_means_go_by_steps_and_not_by_records():
    frame = _runs([[1.0, 3.0, 5.0, 9.0]]).assign(step=[0, 1, 10, 11])
    table = arms.curves(arms.with_condition(frame), "x", window=2)
    assert list(table.loc[table["series"] == "mean", "value"]) == [1.0, 2.0, 5.0, 7.0]
    assert list(table.loc[table["series"] == "run", "value"]) == [1.0, 3.0, 5.0, 9.0]


def test_conditions_name_the_learning_rate_and_what_differs():
    frame = pd.concat([_runs([[1.0]], width=width, depth=11) for width in (2.0, 0.5)])
    labels = arms.with_condition(frame)["condition"]
    assert list(labels) == ["lr 0.1, width 2", "lr 0.1, width 0.5"]
    assert list(labels.cat.categories) == ["lr 0.1, width 0.5", "lr 0.1, width 2"]
    assert list(arms.with_condition(frame, lr=False)["condition"]) == ["width 2", "width 0.5"]
    alike = arms.with_condition(_runs([[1.0]]), lr=False)
    assert list(alike["condition"]) == [""]


def test_a_study_is_a_condition_where_another_one_has_the_same_runs():
    bn, none = _runs([[1.0]]).assign(study="a"), _runs([[1.0]], norm="none").assign(study="b")
    columns = ["study", *bn.columns.drop("study")]
    apart = pd.concat([bn, none])[columns]
    assert not arms.repeated_in_studies(apart)
    assert set(arms.with_condition(apart)["condition"]) == {"lr 0.1"}
    repeated = pd.concat([bn, none, bn.assign(study="b", run="x")])[columns]
    assert arms.repeated_in_studies(repeated)
    assert set(arms.with_condition(repeated)["condition"]) == {"lr 0.1, study a", "lr 0.1, study b"}


def test_norms_are_in_the_order_of_the_figures():
    frame = pd.DataFrame({"norm": ["zz", "l2", "none", "bn", "bn", "aa"]})
    found = arms.norms(frame)
    assert found[-2:] == ["aa", "zz"] and set(found[:-2]) == {"none", "bn", "l2"}
    assert arms.norms(frame.iloc[::-1]) == found


def test_bands_are_means_of_the_extremes_where_all_runs_were_probed():
    rows = [
        ("r0", 0, [1.0, 5.0]),
        ("r0", 25, [2.0, 3.0]),
        ("r1", 0, [3.0, np.nan]),
        ("r1", 50, [1.0, 1.0]),
    ]
    frame = pd.DataFrame(
        [
            {"run": run, "norm": "bn", "lr": 0.1, "step": step, "x": value, "loss": 7.0}
            for run, step, values in rows
            for value in values
        ]
    )
    table = arms.bands(arms.with_condition(frame), "x", "loss")
    # Of r1 the NaN is unbounded; at steps 25 and 50 only one of the runs was probed. The loss, 7,
    # belongs to the band.
    mean = table[table["series"] == "mean"]
    assert mean[["step", "low", "high", "loss", "runs"]].to_numpy().tolist() == [
        [0, 2.0, math.inf, 7.0, 2]
    ]
    runs = table[table["series"] == "run"]
    assert runs[["run", "step", "low", "high"]].to_numpy().tolist() == [
        ["r0", 0, 1.0, 7.0],
        ["r0", 25, 2.0, 7.0],
        ["r1", 0, 3.0, math.inf],
        ["r1", 50, 1.0, 7.0],
    ]
    alone = arms.bands(arms.with_condition(frame[frame["run"] == "r0"]), "x")
    assert alone[["step", "low", "high"]].to_numpy().tolist() == [[0, 1.0, 5.0], [25, 2.0, 3.0]]


def test_ends_are_the_last_values_that_can_be_drawn_of_runs_that_diverged():
    frame = _runs([[1.0, 0.0, np.inf], [1.0, 2.0, 3.0]])
    frame["status"] = frame["run"].map({"r0": "diverged", "r1": "done"})
    frame = arms.with_condition(frame)
    columns = ["run", "step", "x"]
    assert arms.ends(frame, "x")[columns].to_numpy().tolist() == [["r0", 1, 0.0]]
    assert arms.ends(frame, "x", log=True)[columns].to_numpy().tolist() == [["r0", 0, 1.0]]
    assert len(arms.ends(frame.drop(columns="status"), "x")) == 0
