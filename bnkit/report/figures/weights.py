"""Effective learning rate and angular update (Hoffer et al. 2018, Kohler et al. 2019)."""

from bnkit.report.drawing import numbering, panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

QUANTITIES = (
    tables.Quantity("effective_lr", r"lr / $\|W\|_2^2$"),
    tables.Quantity("angular_update", "angle (rad)"),
)


def data(weights):
    """What `draw` draws: `layer, quantity`, and the columns of `arms.curves`."""
    return tables.curves(_shown(weights), QUANTITIES, ["layer"])


def draw(weights):
    """Effective learning rate and angular update of some layers against the step.

    Args:
        weights: Records of kind "weights", as from `load_runs`.

    Returns:
        A matplotlib Figure: a row per condition and layer (`numbering.of_weights`), with a panel
        for each quantity, logarithmic.
    """
    shown = _shown(weights)
    return panels.draw(
        "Effective learning rate and angular update",
        data(weights),
        panels.by_row(QUANTITIES, panels.of_layers(shown)),
        ["Right: angle between $W$ before and after the update of the step."],
        frame=shown,
    )


def _shown(weights):
    return numbering.chosen(arms.with_condition(weights), numbering.of_weights)


ENTRY = Entry(
    "weights",
    "Effective learning rate and angular update",
    draw,
    data,
    {"weights": "effective_lr"},
    "Where a normalisation takes the scale out of a layer's weights W, only their direction "
    "matters. Left lr / ‖W‖₂², the learning rate that would turn weights of length 1 as far; "
    "right how far the update of the step turned W.",
    "Not shown in the paper. Hoffer et al. 2018 (1803.01814), Kohler et al. 2019 (1805.10694).",
)
