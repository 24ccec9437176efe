"""Range of the loss along the gradient, and random directions (Santurkar et al. 2018, Fig 4a)."""

import functools

from bnkit.report.drawing import directions, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

LOSS = tables.Quantity("loss", "loss", "log")


def data(landscape):
    """What `draw` draws: the columns of `arms.bands`, and `loss`."""
    return arms.bands(arms.with_condition(landscape), "loss_after_step", "loss")


def draw(landscape, direction=directions.GRADIENT):
    r"""Range of the loss along a direction, `L(theta - s g)` over s, at every probed step.

    Along random directions the range is over s and the directions of a step. The line is at
    `L(theta)`, s = 0, which belongs to the range here; the claims on it are about the grid alone.
    The y axis is logarithmic.
    """
    return directions.draw_bands(
        f"Range of the loss along {direction.words}",
        landscape,
        data(landscape),
        LOSS,
        [
            rf"Area: smallest to largest $L(\theta - s\,{direction.symbol})$,",
            r"line: $L(\theta)$, to $s = 0$;",
        ],
        direction,
        middle="loss",
    )


ENTRY = Entry(
    "loss_band",
    "Loss along the gradient",
    draw,
    data,
    {"landscape": "loss_after_step"},
    "The area spans min and max of L(θ - s g) over s, 0 included, with g = ∇L(θ) on the same batch "
    "and normalisation in training mode; the line is L(θ). Where the area is narrow, a step along "
    "the gradient does about what the gradient predicts. An area that leaves the panel with a "
    "triangle is unbounded.",
    "Fig 4a and 10 of the paper.",
)
RANDOM = Entry(
    "random_loss_band",
    "Loss along random directions",
    functools.partial(draw, direction=directions.RANDOM),
    data,
    {"random_landscape": "loss_after_step"},
    "The area spans min and max of L(θ - s d) over s, 0 included, "
    f"{directions.OF_A_STEP} The line is L(θ). {directions.NOT_SHOWN}",
    "Not shown in the paper.",
)
