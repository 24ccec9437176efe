"""The curvature figures: what is read back from the artists is what was measured."""

import math

import numpy
import pandas
import pytest

from bnkit.report.drawing import style
from bnkit.report.figures import curvature


def _records(eigenvalues, norm="bn", seed=0, lr=0.1, sharpness=None, **columns):
    """One run with a record every 10 steps from step 0."""
    eigenvalues = numpy.array(eigenvalues, dtype=float)
    return pandas.DataFrame(
        {
            "run": f"{norm}{lr}{seed}",
            "norm": norm,
            "lr": lr,
            "seed": seed,
            "step": 10 * numpy.arange(len(eigenvalues)),
            "top_eigenvalue": eigenvalues,
            "sharpness": eigenvalues / 2 if sharpness is None else sharpness,
            "residual": numpy.abs(eigenvalues) / 100,
            "edge_of_stability": lr * eigenvalues / 2,
            **columns,
        }
    )


def _curve(axes, norm):
    """Steps and values of the strong line of an arm."""
    (line,) = [
        one
        for one in axes.get_lines()
        if one.get_color() == style.colour(norm) and one.get_alpha() is None
    ]
    return list(line.get_xdata()), list(line.get_ydata())


def test_eigenvalue_and_sharpness_are_drawn_from_step_0_with_their_spikes():
    records = _records([3.0, 5.0, 900.0, 6.0])
    top, sharpness = curvature.loss_curvature(records).axes
    steps, values = _curve(top, "bn")
    assert steps == [0, 10, 20, 30]
    # The mean of one run on a logarithmic axis goes through logarithms.
    numpy.testing.assert_allclose(values, [3, 5, 900, 6], rtol=1e-12)
    numpy.testing.assert_allclose(_curve(sharpness, "bn")[1], [1.5, 2.5, 450, 3], rtol=1e-12)
    assert [axes.get_yscale() for axes in (top, sharpness)] == ["log", "log"]
    assert top.get_xlim() == (0, 30) and top.get_ylim()[1] > 900


def test_a_negative_curvature_keeps_its_sign_and_its_place():
    records = _records([2.0, 40.0, 300.0], sharpness=[-1.0, 20.0, 250.0])
    top, sharpness = curvature.loss_curvature(records).axes
    assert (top.get_yscale(), sharpness.get_yscale()) == ("log", "symlog")
    assert _curve(sharpness, "bn")[1] == [-1.0, 20.0, 250.0]
    low, high = sharpness.get_ylim()
    assert low < -1 and high > 250
    height = sharpness.transData.transform([(0, value) for value in (-1, 0, 20, 250)])[:, 1]
    # 20 and 250 stay apart, and so do -1 and 0.
    parts = numpy.diff(height) / numpy.ptp(height)
    assert parts.min() > 0.1


def test_seeds_have_a_geometric_mean_unless_one_is_negative():
    both = pandas.concat([_records([4.0, 1.0]), _records([16.0, 1.0], seed=1)])
    data = curvature.loss_curvature_data(both).query("series == 'mean' and step == 0")
    means = data.set_index("quantity")["value"]
    assert means["top_eigenvalue"] == pytest.approx(8) and means["sharpness"] == pytest.approx(4)
    both["sharpness"] = [3.0, 1.0, -1.0, 1.0]
    data = curvature.loss_curvature_data(both).query("series == 'mean' and step == 0")
    means = data.set_index("quantity")["value"]
    assert means["top_eigenvalue"] == pytest.approx(8) and means["sharpness"] == 1.0


def test_the_edge_is_a_dashed_line_at_1_that_is_always_seen():
    records = pandas.concat([_records([0.2, 0.3], lr=0.1), _records([0.4, 0.5], lr=0.5)])
    panels = curvature.edge_of_stability(records).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["lr 0.1", "lr 0.5"]
    for axes, expected in zip(panels, ([0.01, 0.015], [0.1, 0.125]), strict=True):
        dashed = [one for one in axes.get_lines() if one.get_linestyle() == "--"]
        assert [set(one.get_ydata()) for one in dashed] == [{1.0}]
        assert axes.get_ylim()[1] > 1 and axes.get_yscale() == "log"
        numpy.testing.assert_allclose(_curve(axes, "bn")[1], expected, rtol=1e-12)


def test_the_residual_of_the_estimate_is_told_relative_to_it():
    records = _records([2.0, -4.0, 10.0], residual=[0.1, 0.4, 0.2])
    texts = [text.get_text() for text in curvature.loss_curvature(records).texts]
    assert "median $0.05$, largest $0.1$" in texts[-1]


def test_a_value_that_is_lost_is_a_gap_or_an_arrow():
    records = _records([1.0, math.nan, 2.0, math.inf, 3.0])
    top = curvature.loss_curvature(records).axes[0]
    drawn = [one for one in top.get_lines() if one.get_alpha() is None and one.get_xdata().size]
    stretches = [list(one.get_xdata()) for one in drawn]
    # The one at step 30 is at the top of the panel.
    assert stretches == [[0], [20], [40], [30]] and drawn[-1].get_marker() == "^"
    # A stretch of a single point is a dot, or it would not be seen.
    assert {one.get_marker() for one in drawn[:3]} == {"o"}


def test_a_run_that_diverged_ends_with_a_cross():
    records = _records([1.0, 7.0, math.nan], status="diverged")
    top, sharpness = curvature.loss_curvature(records).axes
    for axes, height in ((top, 7.0), (sharpness, 3.5)):
        (cross,) = [one for one in axes.collections if len(one.get_offsets()) == 1]
        assert list(cross.get_offsets()[0]) == [10, height]
    legend = [text.get_text() for text in top.figure.legends[0].get_texts()]
    assert legend == ["BN", "diverged"]


@pytest.mark.parametrize("draw", [curvature.loss_curvature, curvature.edge_of_stability])
def test_without_records_the_figure_says_so(draw):
    assert draw(_records([])).axes[0].texts[0].get_text().startswith("No finite value")
