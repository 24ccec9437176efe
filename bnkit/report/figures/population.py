"""Test loss with batch statistics less that with population statistics (Wu and Johnson 2021)."""

from bnkit.report.drawing import grid
from bnkit.report.statistics import arms

PARTS = ["loss_batch_statistics", "loss_population_statistics"]
GAP = (grid.Quantity("gap", "batch - population", log=False, level=0.0),)


def population_gap_data(evaluation):
    """What `population_gap` draws: `quantity`, and the columns of `arms.curves`."""
    return grid.data(_gaps(evaluation), GAP)


def population_gap(evaluation):
    """Loss on the test split with batch statistics less that with population statistics.

    Args:
      evaluation: records of kind "eval", as from `load_runs`. Those without the two losses are left
        out: their normalisation has no moving statistics.

    Returns:
      A matplotlib Figure: a panel per condition, linear, or, where the gap spans several orders of
      magnitude, logarithmic to both sides of 0 (`canvas.signed_axis`).
    """
    footer = ["On the test split;", "above 0 (dashed): lower with population statistics."]
    title = "Test loss: batch less population statistics"
    return grid.over_steps(title, _gaps(evaluation), GAP, footer)


def _gaps(evaluation):
    gaps = evaluation.assign(gap=evaluation[PARTS[0]] - evaluation[PARTS[1]])
    return arms.with_condition(gaps[gaps[PARTS].notna().any(axis=1)])
