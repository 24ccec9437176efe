"""How far gradient descent is from the edge of stability (Cohen et al. 2021)."""

from bnkit.report.drawing import grids, tables
from bnkit.report.figures.curvature import residual
from bnkit.report.figures.entry import Entry

EDGE = tables.Quantity(
    "edge_of_stability", r"lr $\lambda_1$ / 2", level=1.0, level_label="edge of stability"
)
FIGURE = grids.OverSteps(
    "Distance to the edge of stability",
    [EDGE],
    lambda curvature: [
        r"$\lambda_1$: largest eigenvalue of the Hessian $H$",
        "on the batch of the step.",
        *residual(curvature),
    ],
)
ENTRY = Entry(
    "edge_of_stability",
    "Edge of stability",
    FIGURE.draw,
    FIGURE.data,
    {"curvature": "edge_of_stability"},
    "lr λ₁ / 2, with λ₁ the largest eigenvalue of the Hessian. Above 1 (dashed) gradient "
    "descent, without momentum and not Adam, diverges on a quadratic of this curvature; "
    "full-batch training rises to 1 and stays there, small batches keep it below.",
    "Not shown in the paper. Cohen et al. 2021 (2103.00065).",
)
