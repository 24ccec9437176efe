"""The learning-rate envelope: the range of the loss over separately trained learning rates."""

import numpy as np
import pandas as pd

from bnkit.report.drawing import canvas, learning_rates, lines, panels, scales, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

# How many learning rates a normalisation needs.
NEEDED = {"rates": 2}
COLUMNS = ["condition", "norm", "step", "low", "high", "rates", "runs"]
LOSS = tables.Quantity("loss", "training loss", "log")


def data(train):
    """What `draw` draws: `condition, norm, step, low, high, rates, runs`.

    `low, high` are the extremes over the learning rates `rates` (a tuple) of the running mean of
    the loss; of its geometric mean over seeds where a learning rate has several, at most `runs`.
    """
    train = learning_rates.comparable(arms.with_condition(train, lr=False), **NEEDED)
    means = arms.curves(train, "loss", ["lr"], lines.WINDOW, log=True)
    means = means[means["series"] == "mean"]
    ends = _ends_of_diverged(train)
    envelopes = [
        _envelope(arm, ends[(ends["condition"] == condition) & (ends["norm"] == norm)])
        for (condition, norm), arm in means.groupby(["condition", "norm"], observed=True)
        if arm["lr"].nunique() >= NEEDED["rates"]
    ]
    table = pd.concat(envelopes, ignore_index=True) if envelopes else means.iloc[:0]
    return table.reindex(columns=COLUMNS)


def draw(train):
    """Range of the training loss over separately trained learning rates, at every step.

    It is not the landscape along the gradient: that is around the weights of one run
    (`loss_band`), and every edge of this range at the weights of another.

    From the end of a run that diverged on an area has no upper end. It ends with the first of the
    other runs that does.
    """
    table = data(train)
    return panels.draw(
        "Learning-rate envelope of the loss",
        table,
        panels.of_arms(LOSS, table),
        _footer(table),
        lines.bands(handles=_handles),
        message="No finite losses at two learning rates.",
    )


def _ends_of_diverged(train):
    """`condition, norm, lr, step`: last finite loss of the first run to diverge, else -1."""
    diverged = train[train["status"] == "diverged"]
    finite = diverged.assign(step=diverged["step"].where(np.isfinite(diverged["loss"])))
    last = finite.groupby([*learning_rates.CELL, "run"], observed=True)["step"].max().fillna(-1)
    return last.groupby(learning_rates.CELL, observed=True).min().reset_index()


def _envelope(arm, ends):
    """`data` of one arm, from the mean loss at each learning rate."""
    values = arm.pivot(index="step", columns="lr", values="value")
    for end in ends.itertuples():
        values.loc[values.index > end.step, end.lr] = np.inf
    values = values.dropna()
    extremes = pd.DataFrame({"low": values.min(axis=1), "high": values.max(axis=1)})
    table = arm[["condition", "norm"]].iloc[[0]].merge(extremes.reset_index(), how="cross")
    return table.assign(rates=[tuple(values.columns)] * len(values), runs=arm["runs"].max())


def _footer(table):
    grids = [", ".join(map(scales.number, grid)) for grid in table["rates"].unique()]
    phrases = [rf"lr $\in \{{{grid}\}}$;" for grid in grids]
    if len(phrases) > 1:
        phrases.insert(0, "learning rates differ:")
    seeds = table["runs"].max()
    if seeds > 1:
        phrases.append(f"mean over up to {seeds:.0f} seeds each;")
    return [
        f"Area: smallest to largest loss (running mean, {lines.WINDOW} steps)",
        "over separately trained runs;",
        *phrases,
        "not the landscape along the gradient.",
    ]


def _handles(table):
    unbounded = np.isposinf(table["high"]).any()
    return [canvas.triangle_handle("a run diverged")] if unbounded else []


ENTRY = Entry(
    "learning_rate_envelope",
    "Learning-rate envelope",
    draw,
    data,
    {"train": "loss"},
    "Spread, from min to max, of the training loss (running mean over "
    f"{lines.WINDOW} steps; geometric mean over seeds) of separately trained runs that differ "
    "in nothing but the learning rate. It is often drawn as the loss landscape, and is not the "
    "landscape along the gradient: that one is at one set of weights (“Loss along the "
    "gradient”), and this is over the weights of several runs. A triangle is where a run has "
    "diverged: from there on the area is unbounded.",
    "Not shown in the paper: no figure of it is this one.",
    applies=lambda runs: learning_rates.are_compared(runs, **NEEDED),
)
