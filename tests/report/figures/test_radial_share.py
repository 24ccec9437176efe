"""The radial share of the gradient."""

import math

import numpy as np
import pandas as pd
import pytest
from artists import curve, message

from bnkit.report.figures import radial_share


def _records(radial_share=0.5):
    rows = [
        {
            "run": "r",
            "norm": "bn",
            "lr": 0.1,
            "seed": 0,
            "step": step,
            "layer": f"dense{number}",
            "radial_share": radial_share,
        }
        for step in (0, 10)
        for number in (1, 2, 3)
    ]
    return pd.DataFrame(rows)


def test_radial_shares_stand_side_by_side_from_rounding_to_1():
    records = _records(radial_share=1e-30)
    figure = radial_share.ENTRY.draw(records)
    assert len(figure.axes) == 2
    for axes in figure.axes:
        np.testing.assert_allclose(curve(axes, "bn")[1], [1e-14, 1e-14])
        assert axes.get_ylim()[0] < 1e-14 and 1 < axes.get_ylim()[1] < 100
    data = radial_share.ENTRY.data(_records(radial_share=0.0))
    assert data["value"].tolist() == pytest.approx([1e-14] * 4)
    kept = radial_share.ENTRY.data(_records(radial_share=0.25))
    assert kept["value"].tolist() == pytest.approx([0.25] * 4)


def test_a_share_that_is_nan_stays_nan():
    records = _records()
    records.loc[records["step"] == 10, "radial_share"] = math.nan
    data = radial_share.ENTRY.data(records)
    assert data.loc[data["step"] == 10, "value"].isna().all()
    assert data.loc[data["step"] == 0, "value"].notna().all()


def test_without_records_the_figure_says_so():
    assert message(radial_share.ENTRY.draw(_records().iloc[:0])).startswith("No finite value")
