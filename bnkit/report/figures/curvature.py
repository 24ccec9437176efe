"""Curvature of the loss (Cohen et al. 2021)."""

import numpy as np

from bnkit.report.drawing import grids, scales, tables
from bnkit.report.figures.entry import Entry


def residual(curvature):
    """How good the estimates of the eigenvalue are, in words for below the figure."""
    relative = curvature["residual"] / curvature["top_eigenvalue"].abs()
    relative = relative[np.isfinite(relative)]
    if not len(relative):
        return []
    median, largest = (
        scales.number(float(f"{one:.1e}")) for one in (relative.median(), relative.max())
    )
    return [
        r"$\|H v - \lambda_1 v\|_2 \,/\, |\lambda_1|$:",
        rf"median ${median}$, largest ${largest}$.",
    ]


FIGURE = grids.OverSteps(
    "Curvature of the loss",
    (
        tables.Quantity("top_eigenvalue", r"top eigenvalue $\lambda_1$"),
        tables.Quantity("sharpness", "batch sharpness"),
    ),
    lambda curvature: [
        r"$H = \nabla^2 L(\theta)$ and $g = \nabla L(\theta)$ on the batch of the step;",
        r"batch sharpness: $g^\top H g \,/\, \|g\|_2^2$.",
        *residual(curvature),
    ],
)
ENTRY = Entry(
    "curvature",
    "Curvature",
    FIGURE.draw,
    FIGURE.data,
    {"curvature": "top_eigenvalue"},
    "Left the largest eigenvalue λ₁ of the Hessian H = ∇²L(θ), by Lanczos' method; right the "
    "curvature along the gradient, gᵀHg / ‖g‖², which λ₁ bounds. Both on the batch of the "
    "step, with normalisation in training mode. The relative residual below the figure says "
    "how far the estimate can be from an eigenvalue.",
    "Not shown in the paper. Cohen et al. 2021 (2103.00065); 2412.20553.",
)
