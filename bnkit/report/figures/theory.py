"""Theorem 4.1 on the batch-norm layers of a trained network (Santurkar et al. 2018)."""

from bnkit.report.drawing import grid
from bnkit.report.statistics import arms

QUANTITIES = (
    grid.Quantity("relative_difference", "relative difference"),
    grid.Quantity(
        "gradient_ratio",
        r"$\|\partial \hat L / \partial y\|_2 \,/\, \|\partial L / \partial z\|_2$",
        level=1.0,
        level_label="below 1: flatter with BN",
    ),
)


def theorem_data(identity):
    """What `theorem` draws: `quantity, number` (of the layer), and the columns of `arms.curves`."""
    return grid.data(grid.at_ends(arms.with_condition(identity)), QUANTITIES, ["step"], "number")


def theorem(identity):
    """Difference of both sides of Theorem 4.1, and ratio of gradient norms, of every layer.

    Args:
      identity: records of kind "batch_norm_identity", as from `load_runs`.

    Returns:
      A matplotlib Figure: for every condition a row of panels for each quantity, with a column for
      the first and the last capture; logarithmic, against the number of the layer.
    """
    footer = [
        r"Difference of $\|\partial \hat L / \partial y\|_2^2$",
        r"from what the theorem makes of $\partial L / \partial z$;",
        "$y$, $z$: input and output of the layer.",
    ]
    title = "Theorem 4.1 in every batch-norm layer"
    return grid.over_depth(title, arms.with_condition(identity), QUANTITIES, footer)
