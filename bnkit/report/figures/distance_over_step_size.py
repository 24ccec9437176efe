"""Gradient distance and loss against the step size (Santurkar et al. 2018, Fig 11)."""

import numpy as np

from bnkit.report.drawing import directions, panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

QUANTITIES = (
    tables.Quantity("gradient_distance", f"${directions.GRADIENT.change}$", "log"),
    tables.Quantity("loss_after_step", r"$L(\theta - s\,g)$", "log"),
)


def data(landscape):
    """What `draw` draws: `quantity, time, step`, and those of `arms.curves`.

    `time` is "first", "middle" or "last". NaN counts as infinite.
    """
    probed = arms.with_condition(landscape)
    columns = [one.column for one in QUANTITIES]
    probed[columns] = probed[columns].astype(float).fillna(np.inf)
    steps = probed.groupby("condition", observed=True)["step"]
    times = {"first": steps.min(), "middle": steps.agg(_middle), "last": steps.max()}
    return tables.at_times(probed, times, QUANTITIES, "step_size")


def draw(landscape):
    r"""`||grad L(theta - s g) - g||` and `L(theta - s g)` against s, at three probed steps.

    For every condition a row of panels for each quantity, and a column for the first, a middle and
    the last probed step. A dashed line is at `s = lr`, where the grid includes it.
    """
    table = data(landscape)
    low, high = landscape["step_size"].min(), landscape["step_size"].max()
    rates = arms.with_condition(landscape).groupby("condition", observed=True)["lr"].first()
    rates = rates[rates.between(low, high)].to_dict()
    dashed = ["dashed: $s$ = lr;"] if rates else []
    return panels.draw(
        "Change of the gradient, and loss, against the step size",
        table,
        panels.by_column(QUANTITIES, panels.of_steps(table)),
        ["Both axes logarithmic;", *dashed, *directions.step_sizes(landscape)],
        x="step_size",
        verticals=rates,
    )


def _middle(steps):
    return steps.iloc[(steps - (steps.min() + steps.max()) / 2).abs().argmin()]


ENTRY = Entry(
    "distance_over_step_size",
    "Gradient distance over the step size",
    draw,
    data,
    {"landscape": "gradient_distance"},
    "‖∇L(θ - s g) - g‖₂ and L(θ - s g) against s at the first, a middle and the last probed "
    "step. Lower is smoother; a distance that grows in proportion to s, as on a quadratic, "
    "rises by one decade in one decade of s. A triangle at the top is an infinite value.",
    "Fig 11 of the paper (of the deep linear network).",
)
