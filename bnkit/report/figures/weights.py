"""Effective learning rate and angular update (Hoffer et al. 2018, Kohler et al. 2019)."""

from bnkit.report.drawing import grids, tables
from bnkit.report.figures.entry import Entry

FIGURE = grids.OverStepsOfLayers(
    "Effective learning rate and angular update",
    (
        tables.Quantity("effective_lr", r"lr / $\|W\|_2^2$"),
        tables.Quantity("angular_update", "angle (rad)"),
    ),
    lambda weights: ["Right: angle between $W$ before and after the update of the step."],
)
ENTRY = Entry(
    "weights",
    "Effective learning rate and angular update",
    FIGURE.draw,
    FIGURE.data,
    {"weights": "effective_lr"},
    "Where a normalisation takes the scale out of a layer's weights W, only their direction "
    "matters. Left lr / ‖W‖₂², the learning rate that would turn weights of length 1 as far; "
    "right how far the update of the step turned W.",
    "Not shown in the paper. Hoffer et al. 2018 (1803.01814), Kohler et al. 2019 (1805.10694).",
)
