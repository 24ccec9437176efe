"""Theorem 4.1 on the batch-norm layers of a trained network (Santurkar et al. 2018)."""

from bnkit.report.drawing import numbering, panels, tables
from bnkit.report.figures.entry import Entry, are_measured
from bnkit.report.statistics import arms

QUANTITIES = (
    tables.Quantity("relative_difference", "relative difference"),
    tables.Quantity(
        "gradient_ratio",
        r"$\|\partial \hat L / \partial y\|_2 \,/\, \|\partial L / \partial z\|_2$",
        level=1.0,
        level_label="below 1: flatter with BN",
    ),
)


def data(identity):
    """What `draw` draws: `quantity, step, number` (of the layer), and those of `arms.curves`."""
    ends = tables.at_ends(numbering.with_numbers(arms.with_condition(identity)))
    return tables.curves(ends, QUANTITIES, ["step"], "number")


def draw(identity):
    """Difference of both sides of Theorem 4.1, and ratio of gradient norms, of every layer.

    Args:
        identity: Records of kind "batch_norm_identity", as from `load_runs`.

    Returns:
        A matplotlib Figure: for every condition a row of panels for each quantity, with a column
        for the first and the last capture; logarithmic, against the number of the layer.
    """
    table = data(identity)
    footer = [
        r"Difference of $\|\partial \hat L / \partial y\|_2^2$",
        r"from what the theorem makes of $\partial L / \partial z$;",
        "$y$, $z$: input and output of the layer.",
    ]
    rows = panels.by_column(QUANTITIES, panels.of_steps(table))
    return panels.draw("Theorem 4.1 in every batch-norm layer", table, rows, footer, x="number")


def _applies(runs):
    batch_norm = [run for run in runs if run.settings.get("norm") in ("bn", "noisy_bn")]
    return are_measured(["batch_norm_identity"], batch_norm)


ENTRY = Entry(
    "batch_norm_identity",
    "Theorem 4.1",
    draw,
    data,
    {"batch_norm_identity": "relative_difference"},
    "Both sides of Theorem 4.1 in every BN layer, from its input y and output z, on a training "
    "batch. They are equal but for rounding and the ε of the layer: above, their relative "
    "difference. Below, ‖∂L̂/∂y‖₂ / ‖∂L/∂z‖₂: under 1 (dashed) the loss is flatter with BN than "
    "as a function of z without it.",
    "Theorem 4.1 of the paper (with 1/m in the last term); not shown there.",
    applies=_applies,
)
