"""The gradient norm over the depth."""

import numpy as np
import pandas as pd
from artists import curve, message, titles

from bnkit.report.figures import gradient_norm_over_depth


def _records(steps=(0, 10), layers=25, norm="bn", seed=0):
    """A run whose gradient norm is `1000 * step + layer number`."""
    rows = [
        {
            "run": f"{norm}{seed}",
            "norm": norm,
            "lr": 0.1,
            "seed": seed,
            "step": step,
            "layer": f"dense{number}",
            "gradient_norm": 1000.0 * step + number,
        }
        for step in steps
        for number in range(1, layers + 1)
    ]
    return pd.DataFrame(rows)


def test_gradient_norm_against_the_layer_number_first_and_last():
    figure = gradient_norm_over_depth.ENTRY.draw(_records(steps=(0, 5, 20)))
    first, last = figure.axes
    assert titles([first, last]) == ["step 0, lr 0.1", "step 20, lr 0.1"]
    for axes, offset in ((first, 0), (last, 20_000)):
        numbers, values = curve(axes, "bn")
        assert numbers == list(range(1, 26)) and axes.get_yscale() == "log"
        np.testing.assert_allclose(values, offset + np.arange(1, 26), rtol=1e-12)
    assert list(first.get_xticks()) == [1, 5, 9, 13, 17, 21, 25]
    assert first.get_xlabel() == "layer" and first.get_ylim() == last.get_ylim()


def test_one_capture_is_shown_once():
    assert len(gradient_norm_over_depth.ENTRY.draw(_records(steps=(0,))).axes) == 1


def test_a_mean_over_the_depth_is_of_all_runs_of_the_arm():
    records = pd.concat(
        [
            _records(steps=(0, 10, 20), layers=2),
            _records(steps=(0, 10), layers=2, seed=1),
            _records(steps=(0, 10), layers=2, norm="none"),
        ]
    )
    data = gradient_norm_over_depth.ENTRY.data(records)
    assert sorted(data["step"].unique()) == [0, 10]
    means = data[data["series"] == "mean"]
    assert set(means.loc[means["norm"] == "bn", "runs"]) == {2}
    # Where another arm goes on, it does so alone.
    longer = pd.concat([records, _records(steps=(20,), layers=2, norm="none")])
    data = gradient_norm_over_depth.ENTRY.data(longer)
    assert set(data.loc[data["step"] == 20, "norm"]) == {"none"}


def test_without_records_the_figure_says_so():
    assert message(gradient_norm_over_depth.ENTRY.draw(_records().iloc[:0])).startswith(
        "No finite value"
    )
