"""Gradient norm of every weight layer, at the start and at the end (Yang et al. 2019)."""

from bnkit.report.drawing import grids, tables
from bnkit.report.figures.entry import Entry

FIGURE = grids.OverDepth(
    "Gradient norm over the depth",
    [tables.Quantity("gradient_norm", r"$\|\partial L / \partial W\|_2$")],
    lambda weights: ["Layers are counted from the input."],
)
ENTRY = Entry(
    "gradient_norm_over_depth",
    "Gradient norm over the depth",
    FIGURE.draw,
    FIGURE.data,
    {"weights": "gradient_norm"},
    "Norm of the gradient of every layer's weights at the first and at the last capture. A "
    "line that falls steadily from the first layer to the last is a gradient that explodes on "
    "its way back through the layers, as in networks with BN at initialisation.",
    "Not shown in the paper. Yang et al. 2019 (1902.08129).",
)
