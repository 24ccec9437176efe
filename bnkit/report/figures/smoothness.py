"""Effective beta-smoothness along a direction (Santurkar et al. 2018, Fig 4c and 10)."""

import functools

import numpy as np
import pandas as pd

from bnkit.report.drawing import directions, panels, scales, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

# The y axis is logarithmic where the largest value is this many times the smallest.
LOG_FROM = 10
PLATEAU = "2/lr"
# Settings of plain gradient descent at one rate, which has a plateau.
_PLAIN = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant", "warmup": 0}


def data(landscape, direction=directions.GRADIENT):
    """What `draw` draws: the columns of `arms.curves`, and a row of series "2/lr" per lr.

    The smoothness of a step is that of `arms.largest_smoothness`. The plateau is that of plain
    gradient descent at one rate: with momentum, another optimizer or a schedule there is no
    such row.
    """
    conditions = arms.with_condition(landscape)
    values = arms.largest_smoothness(conditions)
    table = arms.curves(values, "smoothness", log=_scale(values["smoothness"]) == "log")
    if direction.definition:
        return table
    plain = pd.Series(True, index=conditions.index)
    for setting, value in _PLAIN.items():
        if setting in conditions:
            plain &= conditions[setting].isna() | (conditions[setting] == value)
    levels = conditions[plain][["condition", "lr"]].drop_duplicates()
    levels = pd.DataFrame(
        {"condition": levels["condition"], "series": PLATEAU, "value": 2 / levels["lr"]}
    )
    if not len(levels):
        return table
    return pd.concat([table, levels.reindex(columns=table.columns)], ignore_index=True)


def draw(landscape, direction=directions.GRADIENT):
    r"""Effective beta-smoothness; along the gradient with the plateau `2 / lr` as a dashed line.

    The y axis is logarithmic where values span a factor of ten or more.
    """
    table = data(landscape, direction)
    is_plateau = table["series"] == PLATEAU
    measured = table[~is_plateau]
    plateaus = [f"${scales.number(one)}$" for one in table.loc[is_plateau, "value"].unique()]
    quantity = tables.Quantity(
        "smoothness",
        r"effective $\beta$",
        _scale(measured["value"]),
        level_label=f"{PLATEAU} = {', '.join(plateaus)}" if plateaus else "",
    )
    over = "s,d" if direction.definition else "s"
    footer = [
        rf"$\mathrm{{max}}_{{{over}}} \;{direction.change}"
        rf" \,/\, (s\,\|{direction.symbol}\|_2)$;",
        *direction.footer(landscape),
    ]
    return panels.draw(
        rf"Effective $\beta$-smoothness along {direction.words}",
        table,
        panels.of_arms(quantity, measured),
        footer,
        records=arms.with_condition(landscape),
    )


def _scale(values):
    values = values[np.isfinite(values) & (values > 0)]
    return "log" if len(values) and values.max() >= LOG_FROM * values.min() else "linear"


ENTRY = Entry(
    "smoothness",
    "Effective β-smoothness",
    draw,
    data,
    {"landscape": "smoothness"},
    "β = max over s of ‖∇L(θ - s g) - g‖₂ / (s ‖g‖₂). The dashed line is 2/lr, the plateau "
    "that gradient descent settles on whatever the normalisation: peaks and the first "
    "steps tell the arms apart, the mean does not.",
    "Fig 4c and 10 of the paper.",
)
RANDOM = Entry(
    "random_smoothness",
    "Effective β-smoothness along random directions",
    functools.partial(draw, direction=directions.RANDOM),
    functools.partial(data, direction=directions.RANDOM),
    {"random_landscape": "smoothness"},
    f"β = max of ‖∇L(θ - s d) - g‖₂ / (s ‖d‖₂) over s {directions.OF_A_STEP} Unlike β "
    f"along the gradient, nothing drives it to 2/lr. {directions.NOT_SHOWN}",
    "Not shown in the paper.",
)
