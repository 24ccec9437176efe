"""Change of the inputs of non-linearities between captures (Santurkar et al. 2018, Fig 8)."""

from bnkit.report.drawing import grids, numbering, tables
from bnkit.report.figures.entry import Entry

KEYS = ["condition", "norm", "run", "seed", "status", "layer", "number", "step"]
MOMENTS = (
    tables.Quantity("mean", r"$|\Delta$ mean$|$", "log"),
    tables.Quantity("variance", r"$|\Delta$ variance$|$", "log"),
)


class Drift(grids.OverStepsOfLayers):
    """Mean absolute changes over the units of a layer; one unit that is NaN makes it NaN."""

    keys = ("layer", "number")
    rule = staticmethod(numbering.of_activations)

    def shown(self, records):
        units = super().shown(records)
        changes = {one.column: units[f"{one.column}_change"].abs() for one in MOMENTS}
        layers = units.assign(**changes).groupby(
            [key for key in KEYS if key in units], observed=True, as_index=False
        )
        return layers.agg({name: lambda sizes: sizes.mean(skipna=False) for name in changes})


FIGURE = Drift(
    "Change of the inputs to non-linearities from one capture to the next",
    MOMENTS,
    lambda activations: [
        "Absolute change of a unit's mean and variance over the batch since the capture",
        "before;",
        "mean over the units captured.",
    ],
)


def data(activations):
    """What is drawn: `layer, number, moment`, and the columns of `arms.curves`."""
    return FIGURE.data(activations).rename(columns={"quantity": "moment"})


ENTRY = Entry(
    "activation_drift",
    "Change of the inputs of the non-linearity",
    FIGURE.draw,
    data,
    {"activations": "mean_change"},
    "By how much mean and variance over the batch (and height and width) of a non-linearity's "
    "inputs have changed since the capture before: absolute values, averaged over the randomly "
    "chosen units of the layer. Lower is a more stable distribution. Captures are of "
    "different batches, so part of every change is chance.",
    "Fig 8 of the paper.",
)
