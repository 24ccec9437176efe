"""The figure of Theorem 4.1."""

import numpy as np
import pandas as pd
import pytest
from artists import curve, dashed, message, titles

from bnkit.report import load_runs
from bnkit.report.figures import batch_norm_identity
from bnkit.report.runs import read_runs


def test_both_quantities_of_every_layer_at_the_first_and_last_capture(runs):
    records = load_runs(runs(steps=60), "batch_norm_identity")
    panels = np.reshape(batch_norm_identity.ENTRY.draw(records).axes, (2, 2))
    for row, column in zip(panels, ("relative_difference", "gradient_ratio"), strict=True):
        for axes, step in zip(row, (0, 50), strict=True):
            numbers, values = curve(axes, "bn")
            expected = records.loc[records["step"] == step, column]
            assert numbers == list(range(1, len(expected) + 1))
            np.testing.assert_allclose(values, expected, rtol=1e-12)
            assert axes.get_yscale() == "log"
    assert titles(panels.flat) == ["step 0, lr 0.5", "step 50, lr 0.5"]


def test_a_gradient_ratio_of_1_is_marked_and_seen():
    records = pd.DataFrame(
        {
            "run": "r",
            "norm": "bn",
            "lr": 0.1,
            "seed": 0,
            "step": 0,
            "layer": ["norm1", "norm2"],
            "relative_difference": [1e-6, 0.0],
            "gradient_ratio": [0.01, 0.02],
        }
    )
    difference, ratio = batch_norm_identity.ENTRY.draw(records).axes
    assert dashed(ratio) == [1.0] and ratio.get_ylim()[1] > 1
    # Equal to the last bit: there is nothing wrong with it, and it is drawn.
    (line,) = difference.get_lines()
    assert list(line.get_ydata()) == [1e-6, 0.0] and difference.get_yscale() == "symlog"


@pytest.mark.parametrize(("norm", "expected"), [("bn", True), ("noisy_bn", True), ("l2", False)])
def test_it_is_missed_only_of_batch_norm(runs, norm, expected):
    path = runs(norm=norm, kinds=(), probes=["batch_norm_identity"])
    assert batch_norm_identity.ENTRY.applies(read_runs(path)) is expected
    path = runs(norm=norm, kinds=(), probes=["curvature"], lr=0.1)
    assert not batch_norm_identity.ENTRY.applies(read_runs(path))


def test_without_records_the_figure_says_so(runs):
    records = load_runs(runs(norm="none", steps=30), "batch_norm_identity")
    assert len(records) == 0
    assert message(batch_norm_identity.ENTRY.draw(records)).startswith("No finite value")
