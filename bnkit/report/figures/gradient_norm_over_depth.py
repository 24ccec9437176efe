"""Gradient norm of every weight layer, at the start and at the end (Yang et al. 2019)."""

from bnkit.report.drawing import numbering, panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

NORM = tables.Quantity("gradient_norm", r"$\|\partial L / \partial W\|_2$")


def data(weights):
    """What `draw` draws: `quantity, step, number` (of the layer), and those of `arms.curves`."""
    ends = tables.at_ends(numbering.with_numbers(arms.with_condition(weights)))
    return tables.curves(ends, [NORM], ["step"], "number")


def draw(weights):
    """Gradient norm of every weight layer at the first and the last capture.

    Args:
        weights: Records of kind "weights", as from `load_runs`.

    Returns:
        A matplotlib Figure: a row per condition, a column for each of the two steps, logarithmic.
    """
    table = data(weights)
    rows = panels.by_column([NORM], panels.of_steps(table))
    footer = ["Layers are counted from the input."]
    return panels.draw("Gradient norm over the depth", table, rows, footer, x="number")


ENTRY = Entry(
    "gradient_norm_over_depth",
    "Gradient norm over the depth",
    draw,
    data,
    {"weights": "gradient_norm"},
    "Norm of the gradient of every layer's weights at the first and at the last capture. A "
    "line that falls steadily from the first layer to the last is a gradient that explodes on "
    "its way back through the layers, as in networks with BN at initialisation.",
    "Not shown in the paper. Yang et al. 2019 (1902.08129).",
)
