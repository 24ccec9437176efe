"""Test loss with batch statistics less that with population statistics (Wu and Johnson 2021)."""

from bnkit.report.drawing import grids, splits, tables
from bnkit.report.figures.entry import Entry

PARTS = ["loss_batch_statistics", "loss_population_statistics"]
GAP = tables.Quantity("gap", "batch - population", "linear", level=0.0)


class PopulationGap(grids.OverSteps):
    """Only normalisations with moving statistics have both losses."""

    def shown(self, records):
        gaps = records.assign(gap=records[PARTS[0]] - records[PARTS[1]])
        return super().shown(gaps[gaps[PARTS].notna().any(axis=1)])


FIGURE = PopulationGap(
    "Test loss: batch less population statistics",
    [GAP],
    lambda evaluation: [
        splits.tested(evaluation),
        "Above 0 (dashed): lower with population statistics.",
    ],
)


def _applies(runs):
    """Whether the test split was evaluated with batch statistics, too."""
    return any(PARTS[0] in fields for run in runs for _, fields in run.records.get("eval", ()))


ENTRY = Entry(
    "population_gap",
    "Batch statistics against population statistics",
    FIGURE.draw,
    FIGURE.data,
    {"eval": "loss_batch_statistics"},
    "Loss on the test split with the statistics of each of its batches, less that with "
    "population statistics, measured anew on training batches at the weights of the step. "
    "Above 0 (dashed) the population statistics are the better ones. Only normalisations with "
    "moving statistics have both.",
    "Not shown in the paper. Wu and Johnson 2021 (2105.07576).",
    applies=_applies,
)
