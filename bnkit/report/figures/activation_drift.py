"""Change of the inputs of non-linearities between captures (Santurkar et al. 2018, Fig 8)."""

from bnkit.report.drawing import numbering, panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

MOMENTS = (
    tables.Quantity("mean", r"$|\Delta$ mean$|$", "log"),
    tables.Quantity("variance", r"$|\Delta$ variance$|$", "log"),
)


def data(activations):
    """What `draw` draws: `layer, number, moment`, and the columns of `arms.curves`."""
    table = tables.curves(_changes(activations), MOMENTS, ["layer", "number"])
    return table.rename(columns={"quantity": "moment"})


def draw(activations):
    """By how much mean and variance of the inputs to non-linearities change between captures.

    Args:
        activations: Records of kind "activations", as from `load_runs`.

    Returns:
        A matplotlib Figure: for every condition and layer (`numbering.of_activations`) a panel for
        the mean and one for the variance, averages of absolute changes over the units of the layer,
        on logarithmic axes.
    """
    changes = _changes(activations)
    footer = [
        "Absolute change of a unit's mean and variance over the batch since the capture",
        "before;",
        "mean over the units captured.",
    ]
    return panels.draw(
        "Change of the inputs to non-linearities from one capture to the next",
        data(activations).rename(columns={"moment": "quantity"}),
        panels.by_row(MOMENTS, panels.of_layers(changes)),
        footer,
        frame=changes,
    )


def _changes(activations):
    """`mean` and `variance` of every layer: the mean absolute change over its units."""
    table = numbering.chosen(arms.with_condition(activations), numbering.of_activations)
    keys = ["condition", "norm", "run", "seed", "layer", "number", "step"]
    if "status" in table:
        keys.append("status")
    sizes = {one.column: table[f"{one.column}_change"].abs() for one in MOMENTS}
    # One unit that is NaN makes its layer NaN.
    return (
        table[keys]
        .assign(**sizes)
        .groupby(keys, observed=True, as_index=False)
        .agg({one: lambda units: units.mean(skipna=False) for one in sizes})
    )


ENTRY = Entry(
    "activation_drift",
    "Change of the inputs of the non-linearity",
    draw,
    data,
    {"activations": "mean_change"},
    "By how much mean and variance over the batch (and height and width) of a non-linearity's "
    "inputs have changed since the capture before: absolute values, averaged over the randomly "
    "chosen units of the layer. Lower is a more stable distribution. Captures are of "
    "different batches: part of every change is that of the sample.",
    "Fig 8 of the paper.",
)
