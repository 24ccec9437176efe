"""Effective beta-smoothness along a direction (Santurkar et al. 2018, Fig 4c and 10)."""

import functools

import numpy as np
import pandas as pd

from bnkit.report.drawing import directions, panels, scales, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms
from bnkit.report.statistics.smoothness import largest_smoothness
from bnkit.schedules import learning_rate

# The y axis is logarithmic where the largest value is this many times the smallest.
LOG_FROM = 10
PLATEAU = "2/lr"
# Settings of plain gradient descent, which has a plateau.
_PLAIN = {"optimizer": "sgd", "momentum": 0.0}
# Those of its rate over time, with the values of runs that were made before there was a choice.
_RATE = {"steps": 0, "schedule": "constant", "warmup": 0}


def data(landscape, direction=directions.GRADIENT):
    """What `draw` draws: the columns of `arms.curves`, and a row of series "2/lr" per lr.

    The smoothness of a step is that of `largest_smoothness`. The plateau is that of plain
    gradient descent: with momentum or another optimizer there is no such row. Where the rate
    changes there is one for each probed step, with the rate of that step.
    """
    conditions = arms.with_condition(landscape)
    values = largest_smoothness(conditions)
    table = arms.curves(values, "smoothness", log=_scale(values["smoothness"]) == "log")
    if direction.definition:
        return table
    plain = pd.Series(True, index=conditions.index)
    for setting, value in _PLAIN.items():
        if setting in conditions:
            plain &= conditions[setting].isna() | (conditions[setting] == value)
    levels = [_plateau(rows) for _, rows in conditions[plain].groupby("condition", observed=True)]
    found = [table, *(one.reindex(columns=table.columns) for one in levels)]
    return pd.concat(found, ignore_index=True)


def _plateau(rows):
    """The rows "2/lr" of one condition: one without a step, if its rate does not change."""
    first = rows.iloc[0]
    known = {name: first[name] for name in _RATE if pd.notna(first.get(name))}
    rate = _RATE | known
    steps = np.sort(rows["step"].unique())
    if rate["schedule"] == "constant" and not rate["warmup"]:
        steps = np.array([np.nan])
    rates = learning_rate(steps, first["lr"], **rate, ops=np)
    rates = np.where(np.isnan(steps), first["lr"], rates)
    return pd.DataFrame(
        {"condition": first["condition"], "series": PLATEAU, "step": steps, "value": 2 / rates}
    )


def draw(landscape, direction=directions.GRADIENT):
    r"""Effective beta-smoothness; along the gradient with the plateau `2 / lr` as a dashed line.

    The y axis is logarithmic where values span a factor of ten or more.
    """
    table = data(landscape, direction)
    is_plateau = table["series"] == PLATEAU
    measured = table[~is_plateau]
    constant = table.loc[is_plateau & table["step"].isna(), "value"].unique()
    plateaus = ", ".join(f"${scales.number(one)}$" for one in constant)
    quantity = tables.Quantity(
        "smoothness",
        r"effective $\beta$",
        _scale(measured["value"]),
        level_label=" = ".join(filter(None, (PLATEAU, plateaus))) if is_plateau.any() else "",
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
    "that gradient descent settles on whatever the normalisation (with a schedule, at the rate of "
    "the step): peaks and the first "
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
