"""The curvature figure: what is read back from the artists is what was measured."""

import math

import numpy as np
import pandas as pd
import pytest
from artists import curve, legend, message, words

from bnkit.report.figures import curvature


def _records(eigenvalues, norm="bn", seed=0, lr=0.1, sharpness=None, **columns):
    """One run with a record every 10 steps from step 0."""
    eigenvalues = np.array(eigenvalues, dtype=float)
    return pd.DataFrame(
        {
            "run": f"{norm}{lr}{seed}",
            "norm": norm,
            "lr": lr,
            "seed": seed,
            "step": 10 * np.arange(len(eigenvalues)),
            "top_eigenvalue": eigenvalues,
            "sharpness": eigenvalues / 2 if sharpness is None else sharpness,
            "residual": np.abs(eigenvalues) / 100,
            "edge_of_stability": lr * eigenvalues / 2,
            **columns,
        }
    )


def test_eigenvalue_and_sharpness_are_drawn_from_step_0_with_their_spikes():
    records = _records([3.0, 5.0, 900.0, 6.0])
    top, sharpness = curvature.ENTRY.draw(records).axes
    steps, values = curve(top, "bn")
    assert steps == [0, 10, 20, 30]
    # The mean of one run on a logarithmic axis goes through logarithms.
    np.testing.assert_allclose(values, [3, 5, 900, 6], rtol=1e-12)
    np.testing.assert_allclose(curve(sharpness, "bn")[1], [1.5, 2.5, 450, 3], rtol=1e-12)
    assert [axes.get_yscale() for axes in (top, sharpness)] == ["log", "log"]
    assert top.get_xlim() == (0, 30) and top.get_ylim()[1] > 900


def test_a_negative_curvature_keeps_its_sign_and_its_place():
    records = _records([2.0, 40.0, 300.0], sharpness=[-1.0, 20.0, 250.0])
    top, sharpness = curvature.ENTRY.draw(records).axes
    assert (top.get_yscale(), sharpness.get_yscale()) == ("log", "symlog")
    assert curve(sharpness, "bn")[1] == [-1.0, 20.0, 250.0]
    low, high = sharpness.get_ylim()
    assert low < -1 and high > 250
    height = sharpness.transData.transform([(0, value) for value in (-1, 0, 20, 250)])[:, 1]
    # 20 and 250 stay apart, and so do -1 and 0.
    parts = np.diff(height) / np.ptp(height)
    assert parts.min() > 0.1


def test_seeds_have_a_geometric_mean_unless_one_is_negative():
    both = pd.concat([_records([4.0, 1.0]), _records([16.0, 1.0], seed=1)])
    data = curvature.ENTRY.data(both).query("series == 'mean' and step == 0")
    means = data.set_index("quantity")["value"]
    assert means["top_eigenvalue"] == pytest.approx(8) and means["sharpness"] == pytest.approx(4)
    both["sharpness"] = [3.0, 1.0, -1.0, 1.0]
    data = curvature.ENTRY.data(both).query("series == 'mean' and step == 0")
    means = data.set_index("quantity")["value"]
    assert means["top_eigenvalue"] == pytest.approx(8) and means["sharpness"] == 1.0


def test_the_residual_of_the_estimate_is_told_relative_to_it():
    records = _records([2.0, -4.0, 10.0], residual=[0.1, 0.4, 0.2])
    assert "median $0.05$, largest $0.1$" in words(curvature.ENTRY.draw(records))


def test_a_value_that_is_lost_is_a_gap_or_an_arrow():
    records = _records([1.0, math.nan, 2.0, math.inf, 3.0])
    top = curvature.ENTRY.draw(records).axes[0]
    drawn = [one for one in top.get_lines() if one.get_alpha() is None and one.get_xdata().size]
    stretches = [list(one.get_xdata()) for one in drawn]
    # The one at step 30 is at the top of the panel.
    assert stretches == [[0], [20], [40], [30]] and drawn[-1].get_marker() == "^"
    # A stretch of a single point is a dot, or it would not be seen.
    assert {one.get_marker() for one in drawn[:3]} == {"o"}


def test_a_run_that_diverged_ends_with_a_cross():
    records = _records([1.0, 7.0, math.nan], status="diverged")
    top, sharpness = curvature.ENTRY.draw(records).axes
    for axes, height in ((top, 7.0), (sharpness, 3.5)):
        (cross,) = [one for one in axes.collections if len(one.get_offsets()) == 1]
        assert list(cross.get_offsets()[0]) == [10, height]
    assert legend(top.figure) == ["BN", "diverged"]


def test_without_records_the_figure_says_so():
    assert message(curvature.ENTRY.draw(_records([]))).startswith("No finite value")
