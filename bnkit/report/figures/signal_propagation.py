"""How a signal propagates through the depth of a network (Brock 2021, Daneshmand 2020)."""

from bnkit.report.drawing import numbering, panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

QUANTITIES = (
    tables.Quantity("squared_mean", "squared mean", "log"),
    tables.Quantity("variance", "variance", "log"),
    tables.Quantity(
        "effective_rank", "effective rank", "linear", includes=(0.0, 1.0), possible=(0, 1)
    ),
    tables.Quantity("rank", "rank", "linear", includes=(0.0, 1.0), possible=(0, 1)),
)


def data(signal):
    """What `draw` draws: `time, step, quantity, number`, and the columns of `arms.curves`.

    `time` is "first" or "last", `number` counts layers from 1 and is what is drawn against.
    """
    frame = numbering.with_numbers(arms.with_condition(signal))
    common = tables.common_steps(frame, ["condition"])
    steps = common.groupby("condition", observed=True)["step"]
    return tables.at_times(frame, {"first": steps.min(), "last": steps.max()}, QUANTITIES, "number")


def draw(signal):
    """Average squared channel mean and variance, and ranks, over the depth of the network.

    For every condition a row for the first and for the last capture that all its runs have, with a
    panel for each quantity. For one condition of a very deep network they are columns, which gives
    wider panels.
    """
    table = data(signal)
    is_deep = table["number"].max() >= numbering.VERY_DEEP
    is_one = table["condition"].nunique() == 1
    arranged = panels.by_column if is_deep and is_one else panels.by_row
    footer = [
        "Of the inputs $H$ of the non-linearities;",
        "squared mean and variance over the batch, mean over channels;",
        r"effective rank: $\mathrm{tr}(M)^2 \,/\, \|M\|_F^2$ with $M = H^T H$;",
        "rank: singular values of $H$ above 0.001 of the largest.",
    ]
    return panels.draw(
        "Propagation of the signal through the layers",
        table,
        arranged(QUANTITIES, panels.of_steps(table)),
        footer,
        x="number",
        message="No finite value has been recorded at a common step.",
    )


ENTRY = Entry(
    "signal_propagation",
    "Signal propagation",
    draw,
    data,
    {"signal_propagation": "variance"},
    "The inputs of the non-linearities over depth (of the last layer its output), at the first "
    "and the last capture that all runs have: a channel's squared mean and its variance over "
    "the batch (and height and width), averaged over channels, and how many directions the "
    "samples span: effective rank (tr M)² / ‖M‖², M = HᵀH, and singular values of H above a "
    "thousandth of the largest. Where squared means outgrow variances, or ranks fall with "
    "depth, the samples of a batch become alike.",
    "Not shown in the paper; after Brock et al. 2021 and Daneshmand et al. 2020.",
)
