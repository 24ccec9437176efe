"""How well every learning rate trains, and so the largest one that does."""

import itertools

import matplotlib
import matplotlib.ticker
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, style
from bnkit.report.figures import learning_rates
from bnkit.report.statistics import arms, training

# How many learning rates a normalisation needs.
NEEDED = {"rates": 3}
# Inches from the middle of a learning rate's label to that of the next.
LABEL_ROOM = 0.42
# Distance of one normalisation's dots at a learning rate from the next, in parts of all rates.
ASIDE = 0.012
DOT = {"marker": "o", "markersize": 3.6, "linestyle": "none"}


def largest_learning_rate_data(train):
    """What `largest_learning_rate` draws: a row per run, per mean over seeds, and per dashed level.

    Returns:
      `condition, norm, lr, run, seed, quantity, series, value, runs`; `series` is "run",
      "diverged" (such a run), "mean" (over `runs` of both; of losses the geometric one) or
      "guessing". `quantity` is "accuracy", or "loss" where a condition has no accuracy. A run that
      diverged has the accuracy of guessing (0 where the number of classes is not known), or an
      infinite loss.
    """
    runs = learning_rates.comparable(
        arms.with_condition(learning_rates.final(train), lr=False), **NEEDED
    )
    classifies = runs.groupby("condition", observed=True)["accuracy"].transform("count") > 0
    guessing = 1 / runs["classes"]
    worst = guessing.fillna(0).where(classifies, numpy.inf)
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
    means["value"] = means["value"].where(
        means["quantity"] == "accuracy", numpy.exp(means["value"])
    )
    levels = runs.assign(value=guessing)[classifies & guessing.notna()]
    levels = levels[["condition", "quantity", "value"]].drop_duplicates()
    tables = [runs, means.assign(series="mean"), levels.assign(series="guessing")]
    table = pandas.concat([one for one in tables if len(one)] or tables[:1], ignore_index=True)
    columns = [*learning_rates.CELL, "run", "seed", "quantity", "series", "value", "runs"]
    return table.reindex(columns=columns)


def largest_learning_rate(train):
    """Final training accuracy against the learning rate (Bjorck et al. 2018); of a regression loss.

    Args:
      train: records of kind "train", as from `load_runs`. Runs that have not ended are left out.

    Returns:
      A matplotlib Figure: a panel per condition with a line per normalisation and a dot per run, or
      a cross where it diverged. Guessing is dashed.
    """
    with matplotlib.rc_context(style.RC):
        table = largest_learning_rate_data(train)
        shown = [one for one in ("accuracy", "loss") if one in set(table["quantity"])]
        title = f"Final {' and '.join(shown) or 'accuracy'} over learning rates"
        if not numpy.isfinite(table["value"]).any():
            return canvas.message(title, "No finite values at three learning rates.")
        conditions = list(table["condition"].cat.categories)
        columns = min(len(conditions), 2)
        page = canvas.Canvas(
            title,
            -(-len(conditions) // columns),
            columns,
            _rate_footer(table),
            _rate_handles(table),
            share_x=False,
            share_y=False,
        )
        for axes, condition in itertools.zip_longest(page.axes.flat, conditions):
            if condition is None:
                axes.set_axis_off()
                continue
            panel = table[table["condition"] == condition]
            _draw_rates(axes, panel)
            _rate_axis(axes, panel["lr"].dropna().unique(), page.figure.get_figwidth() / columns)
            page.name(axes, condition)
        return page.figure


def _draw_rates(axes, panel):
    rates, norms = panel["lr"].dropna(), arms.norms(panel[panel["series"] == "mean"])
    for number, norm in enumerate(norms):
        colour = style.colour(norm)
        arm = panel[panel["norm"] == norm]
        # Beside each other: arms that train equally well would hide each other.
        aside = ASIDE * (number - (len(norms) - 1) / 2)
        arm = arm.assign(lr=arm["lr"] * (rates.max() / rates.min()) ** aside)
        mean = arm[arm["series"] == "mean"].sort_values("lr")
        canvas.line(axes, mean["lr"], mean["value"], color=colour, linewidth=1.4)
        runs, diverged = (arm[arm["series"] == one] for one in ("run", "diverged"))
        axes.plot(runs["lr"], runs["value"], color=colour, markeredgewidth=0, clip_on=False, **DOT)
        # An infinite loss is where its arrow is.
        diverged = diverged[numpy.isfinite(diverged["value"])]
        if len(diverged):
            canvas.crosses(axes, diverged["lr"], diverged["value"], colour)
    for level in panel.loc[panel["series"] == "guessing", "value"]:
        axes.axhline(level, **canvas.DASHED)
    quantity = panel["quantity"].iloc[0]
    axes.set_ylabel(f"training {quantity}")
    if quantity == "loss":
        canvas.value_axis(axes, [panel["value"]], log=True)
        return
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))


def _rate_axis(axes, rates, width):
    """Logarithmic, with a tick at every learning rate; labels where there is room for them."""
    rates = numpy.sort(rates)
    room = (rates[-1] / rates[0]) ** 0.06
    axes.set_xscale("log")
    axes.set_xlim(rates[0] / room, rates[-1] * room)
    nearest = (numpy.log(rates[-1] / rates[0]) * 1.12) * LABEL_ROOM / (width - 0.7)
    labelled = [rates[-1]]
    for rate in rates[-2::-1]:
        if numpy.log(labelled[-1] / rate) >= nearest:
            labelled.append(rate)
    names = [f"${canvas.number(rate)}$" if rate in labelled else "" for rate in rates]
    axes.set_xticks(rates, names)
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_xlabel("learning rate")


def _rate_footer(table):
    seeds = int(table["runs"].max())
    lines = [f"Line: mean over up to {seeds} runs."] if seeds > 1 else []
    return [f"On training batches, mean of the last {training.LAST} steps.", *lines]


def _rate_handles(table):
    series = set(table["series"])
    handles = canvas.norm_handles(arms.norms(table[table["series"] == "mean"]))
    handles.append(canvas.line_handle("each run", color=style.QUIET, **DOT))
    infinite = numpy.isposinf(table["value"])
    if ((table["series"] == "diverged") & ~infinite).any():
        handles.append(lines.diverged_handle())
    if infinite.any():
        handles.append(canvas.triangle_handle("infinite"))
    if "guessing" in series:
        handles.append(canvas.line_handle("guessing", **canvas.DASHED))
    return handles
