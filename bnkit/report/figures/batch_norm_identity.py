"""Theorem 4.1 on the batch-norm layers of a trained network (Santurkar et al. 2018)."""

from bnkit.report.drawing import grids, tables
from bnkit.report.figures.entry import Entry, are_measured

FIGURE = grids.OverDepth(
    "Theorem 4.1 in every batch-norm layer",
    (
        tables.Quantity("relative_difference", "relative difference"),
        tables.Quantity(
            "gradient_ratio",
            r"$\|\partial \hat L / \partial y\|_2 \,/\, \|\partial L / \partial z\|_2$",
            level=1.0,
            level_label="below 1: flatter with BN",
        ),
    ),
    lambda identity: [
        r"Difference of $\|\partial \hat L / \partial y\|_2^2$",
        r"from the theorem's value, computed from $\partial L / \partial z$;",
        "$y$, $z$: input and output of the layer.",
    ],
)


def _applies(runs):
    batch_norm = [run for run in runs if run.settings.get("norm") in ("bn", "noisy_bn")]
    return are_measured(["batch_norm_identity"], batch_norm)


ENTRY = Entry(
    "batch_norm_identity",
    "Theorem 4.1",
    FIGURE.draw,
    FIGURE.data,
    {"batch_norm_identity": "relative_difference"},
    "Both sides of Theorem 4.1 in every BN layer, from its input y and output z, on a training "
    "batch. They are equal but for rounding and the ε of the layer: above, their relative "
    "difference. Below, ‖∂L̂/∂y‖₂ / ‖∂L/∂z‖₂: under 1 (dashed) the loss is flatter with BN than "
    "as a function of z without it.",
    "Theorem 4.1 of the paper (with 1/m in the last term); not shown there.",
    applies=_applies,
)
