"""Range of the change of the gradient along a direction (Santurkar et al. 2018, Fig 4b)."""

import functools

from bnkit.report.drawing import directions, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

DISTANCE = tables.Quantity("gradient_distance", r"$\ell_2$ distance of gradients", "log")


def data(landscape):
    """What `draw` draws: the columns of `arms.bands`."""
    return arms.bands(arms.with_condition(landscape), "gradient_distance")


def draw(landscape, direction=directions.GRADIENT):
    """Range of `||grad L(theta - s g) - g||` over s, at every probed step, as for `loss_band`."""
    along = "itself" if direction == directions.GRADIENT else direction.words
    return directions.draw_bands(
        f"Change of the gradient along {along}",
        landscape,
        data(landscape),
        DISTANCE,
        ["Area: smallest to largest", f"${direction.change}$;"],
        direction,
    )


ENTRY = Entry(
    "gradient_predictiveness",
    "Gradient predictiveness",
    draw,
    data,
    {"landscape": "gradient_distance"},
    "The area spans min and max over s of ‖∇L(θ - s g) - g‖₂: how much the gradient "
    "changes along itself. A small change means that it predicts well.",
    "Fig 4b and 10 of the paper.",
)
RANDOM = Entry(
    "random_gradient_predictiveness",
    "Change of the gradient along random directions",
    functools.partial(draw, direction=directions.RANDOM),
    data,
    {"random_landscape": "gradient_distance"},
    f"The area spans min and max of ‖∇L(θ - s d) - g‖₂, with g = ∇L(θ), over s "
    f"{directions.OF_A_STEP} {directions.NOT_SHOWN}",
    "Not shown in the paper.",
)
