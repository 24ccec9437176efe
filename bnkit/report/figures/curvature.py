"""Curvature of the loss, and how far it is from the edge of stability (Cohen et al. 2021)."""

import numpy

from bnkit.report.drawing import canvas, grid
from bnkit.report.statistics import arms

CURVATURE = (
    grid.Quantity("top_eigenvalue", r"top eigenvalue $\lambda_1$"),
    grid.Quantity("sharpness", "batch sharpness"),
)
EDGE = (
    grid.Quantity(
        "edge_of_stability", r"lr $\lambda_1$ / 2", level=1.0, level_label="edge of stability"
    ),
)


def loss_curvature_data(curvature):
    """What `loss_curvature` draws: `quantity`, and the columns of `arms.curves`."""
    return grid.data(arms.with_condition(curvature), CURVATURE)


def loss_curvature(curvature):
    r"""Largest eigenvalue of the Hessian and batch sharpness `g'Hg / ||g||^2` against the step.

    Args:
      curvature: records of kind "curvature", as from `load_runs`.

    Returns:
      A matplotlib Figure: a row per condition. An axis is logarithmic; where there are values of
      both signs, as early in training, it is so to both sides of 0 (`canvas.signed_axis`).
    """
    footer = [
        r"$H = \nabla^2 L(\theta)$ and $g = \nabla L(\theta)$ on the batch of the step;",
        r"batch sharpness: $g^\top H g \,/\, \|g\|_2^2$.",
        *_residual(curvature),
    ]
    title = "Curvature of the loss"
    return grid.over_steps(title, arms.with_condition(curvature), CURVATURE, footer)


def edge_of_stability_data(curvature):
    """What `edge_of_stability` draws: `quantity`, and the columns of `arms.curves`."""
    return grid.data(arms.with_condition(curvature), EDGE)


def edge_of_stability(curvature):
    """`lr lambda_1 / 2` against the step (logarithmic), with a dashed line at the edge, 1.

    Args and result as for `loss_curvature`.
    """
    footer = [
        r"$\lambda_1$: largest eigenvalue of the Hessian $H$",
        "on the batch of the step.",
        *_residual(curvature),
    ]
    title = "Distance to the edge of stability"
    return grid.over_steps(title, arms.with_condition(curvature), EDGE, footer)


def _residual(curvature):
    """How good the estimates of the eigenvalue are, in words for below the figure."""
    relative = curvature["residual"] / curvature["top_eigenvalue"].abs()
    relative = relative[numpy.isfinite(relative)]
    if not len(relative):
        return []
    middle, largest = (
        canvas.number(float(f"{one:.1e}")) for one in (relative.median(), relative.max())
    )
    return [
        r"$\|H v - \lambda_1 v\|_2 \,/\, |\lambda_1|$:",
        rf"median ${middle}$, largest ${largest}$.",
    ]
