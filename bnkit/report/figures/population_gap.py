"""Test loss with batch statistics less that with population statistics (Wu and Johnson 2021)."""

from bnkit.report.drawing import panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

PARTS = ["loss_batch_statistics", "loss_population_statistics"]
GAP = tables.Quantity("gap", "batch - population", "linear", level=0.0)


def data(evaluation):
    """What `draw` draws: `quantity`, and the columns of `arms.curves`."""
    return tables.curves(_gaps(evaluation), [GAP])


def draw(evaluation):
    """Loss on the test split with batch statistics less that with population statistics.

    Args:
        evaluation: Records of kind "eval", as from `load_runs`. Those without the two losses are
            left out: their normalisation has no moving statistics.

    Returns:
        A matplotlib Figure: a panel per condition, linear, or, where the gap spans several orders
        of magnitude, logarithmic to both sides of 0.
    """
    gaps = _gaps(evaluation)
    rows = panels.by_row([GAP], panels.of_conditions(gaps))
    footer = ["On the test split;", "above 0 (dashed): lower with population statistics."]
    title = "Test loss: batch less population statistics"
    return panels.draw(title, data(evaluation), rows, footer, frame=gaps)


def _gaps(evaluation):
    gaps = evaluation.assign(gap=evaluation[PARTS[0]] - evaluation[PARTS[1]])
    return arms.with_condition(gaps[gaps[PARTS].notna().any(axis=1)])


def _applies(runs):
    """Whether the test split was evaluated with batch statistics, too."""
    return any(PARTS[0] in fields for run in runs for _, fields in run.records.get("eval", ()))


ENTRY = Entry(
    "population_gap",
    "Batch statistics against population statistics",
    draw,
    data,
    {"eval": "loss_batch_statistics"},
    "Loss on the test split with the statistics of each of its batches, less that with "
    "population statistics, measured anew on training batches at the weights of the step. "
    "Above 0 (dashed) the population statistics are the better ones. Only normalisations with "
    "moving statistics have both.",
    "Not shown in the paper. Wu and Johnson 2021 (2105.07576).",
    applies=_applies,
)
