"""How well every learning rate trains, and so the largest one that does (Bjorck et al. 2018)."""

import numpy as np

from bnkit.report import naming
from bnkit.report.drawing import canvas, learning_rates, lines, panels, style, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms, training

# How many learning rates a normalisation needs.
NEEDED = {"rates": 3}
# Distance of one normalisation's dots at a learning rate from the next, in parts of all rates.
ASIDE = 0.012
DOT = {"marker": "o", "markersize": 3.6, "linestyle": "none"}
COLUMNS = [*learning_rates.CELL, "run", "seed", "quantity", "series", "value", "runs"]


def data(train):
    """What `draw` draws: a row per run, per mean over seeds, and per dashed level.

    Returns:
        `condition, norm, lr, run, seed, quantity, series, value, runs`; `series` is "run",
        "diverged" (such a run), "mean" (over `runs` of both; of losses the geometric one) or
        "guessing". `quantity` is "accuracy", or "loss" where a condition has no accuracy. A run
        that diverged has the accuracy of guessing (0 where the number of classes is not known), or
        an infinite loss.
    """
    runs = learning_rates.comparable(
        arms.with_condition(learning_rates.final(train), lr=False), **NEEDED
    )
    classifies = runs.groupby("condition", observed=True)["accuracy"].transform("count") > 0
    guessing = 1 / runs["classes"]
    worst = guessing.fillna(0).where(classifies, np.inf)
    runs = runs.assign(
        series=runs["diverged"].map({True: "diverged", False: "run"}),
        quantity=classifies.map({True: "accuracy", False: "loss"}),
        value=runs["accuracy"].where(classifies, runs["loss"]).mask(runs["diverged"], worst),
    )
    cell = [*learning_rates.CELL, "quantity"]
    means = runs.assign(value=runs["value"].where(classifies, learning_rates.log(runs["value"])))
    means = means.groupby(cell, observed=True, as_index=False).agg(
        value=("value", "mean"), runs=("run", "count")
    )
    geometric = means["quantity"] == "loss"
    means["value"] = means["value"].mask(geometric, np.exp(means["value"]))
    levels = runs.assign(value=guessing)[classifies & guessing.notna()]
    levels = levels[["condition", "quantity", "value"]].drop_duplicates()
    parts = [runs, means.assign(series="mean"), levels.assign(series="guessing")]
    return tables.join(parts).reindex(columns=COLUMNS)


def draw(train):
    """Final training accuracy against the learning rate; of a regression the final loss.

    A panel per condition with a line per normalisation and a dot per run, or a cross where it
    diverged; guessing is dashed. Runs that have not ended are left out.
    """
    table = data(train)
    found = table[["condition", "quantity"]].drop_duplicates().sort_values("condition")
    label = "guessing" if "guessing" in set(table["series"]) else ""
    quantities = {
        "accuracy": tables.Quantity("accuracy", "training accuracy", "percent", level_label=label),
        "loss": tables.Quantity("loss", "training loss", "log"),
    }
    shown = [
        panels.Panel(quantities[quantity], {"condition": condition}, condition)
        for condition, quantity in found.itertuples(index=False)
    ]
    names = [one for one in quantities if one in set(found["quantity"])]
    return panels.draw(
        f"Final {' and '.join(names) or 'accuracy'} over learning rates",
        table,
        panels.wrapped([shown]),
        _footer(table),
        lines.Mark(_draw, ("value",), _handles),
        x="lr",
        message="No finite values at three learning rates.",
    )


def _draw(axes, table, x, dotted):
    """The mean of each arm as a line, and its runs as dots and crosses."""
    norms = arms.norms(table)
    for number, norm in enumerate(norms):
        colour = naming.colour(norm)
        arm = table[table["norm"] == norm]
        # Beside each other: arms that train equally well would hide each other.
        aside = ASIDE * (number - (len(norms) - 1) / 2)
        arm = arm.assign(lr=arm[x] * (table[x].max() / table[x].min()) ** aside)
        mean, runs, diverged = (arm[arm["series"] == one] for one in ("mean", "run", "diverged"))
        mean = mean.sort_values(x)
        lines.line(axes, mean[x], mean["value"], color=colour, linewidth=1.4)
        axes.plot(runs[x], runs["value"], color=colour, markeredgewidth=0, clip_on=False, **DOT)
        # An infinite loss is where its arrow is.
        diverged = diverged[np.isfinite(diverged["value"])]
        if len(diverged):
            lines.crosses(axes, diverged[x], diverged["value"], colour)


def _footer(table):
    footer = [f"On training batches, mean of the last {training.LAST} steps."]
    seeds = table["runs"].max()
    if seeds > 1:
        footer.append(f"Line: mean over up to {seeds:.0f} runs.")
    return footer


def _handles(table):
    handles = [canvas.line_handle("each run", color=style.QUIET, **DOT)]
    infinite = np.isposinf(table["value"])
    if ((table["series"] == "diverged") & ~infinite).any():
        handles.append(lines.diverged_handle())
    if infinite.any():
        handles.append(canvas.triangle_handle("infinite"))
    return handles


ENTRY = Entry(
    "largest_learning_rate",
    "Largest learning rate that trains",
    draw,
    data,
    {"train": "loss"},
    f"Mean training accuracy over the last {training.LAST} steps of every run that has ended "
    "(of a regression its loss), against the learning rate: a dot is a run, the line the mean "
    "over seeds (of losses the geometric one). Dots of different normalisations stand a little "
    "apart. Dashed is guessing. A run that diverged counts as guessing, or with an infinite loss.",
    "Not shown in the paper, but for lr 0.1 and 0.5 in Fig 1. Bjorck et al. 2018 (1806.02375).",
    applies=lambda runs: learning_rates.are_compared(runs, **NEEDED),
)
