"""The edge of stability: what is read back from the artists is what was measured."""

import numpy as np
import pandas as pd
from artists import curve, dashed, legend, message, titles, words

from bnkit.report.figures import edge_of_stability


def _records(edges, lr=0.1):
    edges = np.array(edges, dtype=float)
    return pd.DataFrame(
        {
            "run": f"bn{lr}",
            "norm": "bn",
            "lr": lr,
            "seed": 0,
            "step": 10 * np.arange(len(edges)),
            "top_eigenvalue": 2 * edges / lr,
            "residual": edges / lr / 50,
            "edge_of_stability": edges,
        }
    )


def test_the_edge_is_a_dashed_line_at_1_that_is_always_seen():
    records = pd.concat([_records([0.01, 0.015], lr=0.1), _records([0.1, 0.125], lr=0.5)])
    panels = edge_of_stability.ENTRY.draw(records).axes
    assert titles(panels) == ["lr 0.1", "lr 0.5"]
    for axes, expected in zip(panels, ([0.01, 0.015], [0.1, 0.125]), strict=True):
        assert dashed(axes) == [1.0]
        assert axes.get_ylim()[1] > 1 and axes.get_yscale() == "log"
        np.testing.assert_allclose(curve(axes, "bn")[1], expected, rtol=1e-12)


def test_the_edge_is_in_the_legend_and_the_residual_below_the_figure():
    figure = edge_of_stability.ENTRY.draw(_records([0.5, 2.0]))
    assert legend(figure) == ["BN", "edge of stability"]
    assert "median $0.01$, largest $0.01$" in words(figure)


def test_without_records_the_figure_says_so():
    assert message(edge_of_stability.ENTRY.draw(_records([]))).startswith("No finite value")
