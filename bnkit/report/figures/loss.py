"""Loss on training batches and the test split (Santurkar et al. 2018, Fig 5b)."""

from bnkit.report.drawing import lines, splits, tables
from bnkit.report.figures.entry import Entry

LOSS = tables.Quantity("loss", "loss", "log")


def data(train, evaluation):
    """What `draw` draws: `split`, and the columns of `arms.curves`."""
    return splits.data(train, evaluation, LOSS)


def draw(train, evaluation):
    """Loss against the step on a logarithmic axis; arguments and result as for `splits.draw`."""
    footer = [r"$L(\theta_t)$ without weight decay."]
    return splits.draw("Loss", train, evaluation, LOSS, "before update $t+1$", footer)


ENTRY = Entry(
    "loss",
    "Loss",
    draw,
    data,
    {"train": "loss"},
    "L(θ), without the weight-decay term, on every training batch (thin), its running mean "
    f"over {lines.WINDOW} steps (thick), for model.fit the mean over each epoch; right, on "
    "the test split.",
    "Fig 5b of the paper (of the deep linear network).",
    optional=("eval",),
)
