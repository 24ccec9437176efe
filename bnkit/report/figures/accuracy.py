"""Accuracy on training batches and the test split (Santurkar et al. 2018, Fig 1a, 1b)."""

from bnkit.report.drawing import lines, splits, tables
from bnkit.report.figures.entry import Entry

ACCURACY = tables.Quantity("accuracy", "accuracy", "percent", possible=(0, 1))


def data(train, evaluation):
    """What `draw` draws: `split`, and the columns of `arms.curves`."""
    return splits.data(train, evaluation, ACCURACY)


def draw(train, evaluation):
    """Accuracy against the step; arguments and result as for `splits.draw`."""
    return splits.draw("Accuracy", train, evaluation, ACCURACY, "before its update")


ENTRY = Entry(
    "accuracy",
    "Accuracy",
    draw,
    data,
    {"train": "accuracy"},
    f"Share of correct answers on every training batch (thin) and its running mean over "
    f"{lines.WINDOW} steps (thick), for model.fit the mean over each epoch; right, on the "
    "test split with the moving statistics.",
    "Fig 1a and 1b of the paper.",
    optional=("eval",),
    applies=lambda runs: not all(run.is_regression for run in runs),
)
