"""How far gradient descent is from the edge of stability (Cohen et al. 2021)."""

from bnkit.report.drawing import panels, tables
from bnkit.report.figures.curvature import residual
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

EDGE = tables.Quantity(
    "edge_of_stability", r"lr $\lambda_1$ / 2", level=1.0, level_label="edge of stability"
)


def data(curvature):
    """What `draw` draws: `quantity`, and the columns of `arms.curves`."""
    return tables.curves(arms.with_condition(curvature), [EDGE])


def draw(curvature):
    """`lr lambda_1 / 2` against the step (logarithmic), with a dashed line at the edge, 1.

    Args:
        curvature: Records of kind "curvature", as from `load_runs`.

    Returns:
        A matplotlib Figure: a panel per condition.
    """
    frame = arms.with_condition(curvature)
    footer = [
        r"$\lambda_1$: largest eigenvalue of the Hessian $H$",
        "on the batch of the step.",
        *residual(curvature),
    ]
    rows = panels.by_row([EDGE], panels.of_conditions(frame))
    return panels.draw(
        "Distance to the edge of stability", data(curvature), rows, footer, frame=frame
    )


ENTRY = Entry(
    "edge_of_stability",
    "Edge of stability",
    draw,
    data,
    {"curvature": "edge_of_stability"},
    "lr λ₁ / 2, with λ₁ the largest eigenvalue of the Hessian. Above 1 (dashed) gradient "
    "descent, without momentum and not Adam, diverges on a quadratic of this curvature; "
    "full-batch training rises to 1 and stays there, small batches keep it below.",
    "Not shown in the paper. Cohen et al. 2021 (2103.00065).",
)
