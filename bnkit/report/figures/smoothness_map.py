"""Where smoothing appears: a map of the peak smoothness over normalisation and learning rate."""

import matplotlib.colors
import matplotlib.patches
import numpy as np
import seaborn

from bnkit.report import naming
from bnkit.report.drawing import canvas, learning_rates, lines, scales, style
from bnkit.report.figures.entry import Entry, are_measured
from bnkit.report.statistics import arms, training
from bnkit.report.statistics.smoothness import largest_smoothness

# How many learning rates a normalisation needs, and how many such normalisations.
NEEDED = {"rates": 3, "norms": 2}
CELL_HEIGHT = 0.36
# More learning rates than this make a map as wide as the page.
MOST_NARROW = 4
# Light to dark throughout: it can be read in grey, and by colour-blind readers.
COLOURS = "YlGnBu"
# The colours of a map reach over this factor at least: small differences do not look large.
LEAST_RANGE = 4
UNTRAINED = {"hatch": "////", "edgecolor": "#A6A6A6", "linewidth": 0}
UNTRAINED_COLOUR = "#EBEBEB"


def data(landscape, train):
    """What `draw` draws: `condition, norm, lr, value, runs, trained, diverged`.

    `value` is the geometric mean of `beta lr / 2` over those `trained` of the `runs` of a cell that
    neither diverged (as `diverged` of them did) nor learned nothing (`training.never_trained`).
    """
    peaks = largest_smoothness(landscape)
    peaks = peaks[peaks["step"] >= training.EARLY].groupby(learning_rates.RUN)["smoothness"].max()
    runs = learning_rates.final(train).merge(peaks.reset_index(), on=learning_rates.RUN, how="left")
    runs = learning_rates.comparable(arms.with_condition(runs, lr=False), **NEEDED)
    untrained = {
        name: training.never_trained(rows) for name, rows in train.groupby(learning_rates.RUN)
    }
    names = runs[learning_rates.RUN].itertuples(index=False, name=None)
    learned = np.array([not untrained[name] for name in names], dtype=bool)
    trained = learned & ~runs["diverged"]
    value = learning_rates.log(runs["smoothness"] * runs["lr"] / 2).where(trained)
    cells = runs.assign(value=value, trained=trained).groupby(
        learning_rates.CELL, observed=True, as_index=False
    )
    table = cells.agg(
        value=("value", "mean"),
        runs=("run", "count"),
        trained=("trained", "sum"),
        diverged=("diverged", "sum"),
    )
    return table.assign(value=np.exp(table["value"]))


@style.context()
def draw(landscape, train):
    """Peak effective smoothness of every normalisation and learning rate, over the plateau 2/lr.

    A map per condition with the number in every cell. One without a run that trained is hatched,
    or has a cross where one diverged. Runs that have not ended are left out.
    """
    title = r"Peak $\beta$-smoothness relative to 2/lr"
    table = data(landscape, train)
    if not np.isfinite(table["value"]).any():
        return canvas.message(title, "No finite peak at three learning rates.")
    maps = [(name, one) for name, one in table.groupby("condition", observed=True)]
    page = canvas.Canvas(
        title,
        len(maps),
        1,
        _footer(table),
        _handles(table),
        CELL_HEIGHT * max(one["norm"].nunique() for _, one in maps),
        share_x=False,
        share_y=False,
        wide=max(one["lr"].nunique() for _, one in maps) > MOST_NARROW,
    )
    scale = _colour_scale(table["value"])
    for axes, (condition, cells) in zip(page.axes.flat, maps, strict=True):
        _draw_map(axes, cells, scale)
        page.name(axes, condition)
    return page.figure


def _colour_scale(values):
    values = values[np.isfinite(values)]
    return matplotlib.colors.LogNorm(values.min(), max(values.max(), LEAST_RANGE * values.min()))


def _draw_map(axes, cells, scale):
    norms, rates = arms.norms(cells), sorted(cells["lr"].unique())
    row, column = cells["norm"].map(norms.index), cells["lr"].map(rates.index)
    values, text = (
        cells.assign(text=[_cell_text(one) for one in cells.itertuples()])
        .pivot(index="norm", columns="lr", values=name)
        .reindex(norms)
        for name in ("value", "text")
    )
    seaborn.heatmap(
        values.clip(upper=scale.vmax),
        norm=scale,
        cmap=COLOURS,
        annot=text,
        fmt="",
        annot_kws={"size": style.RC["font.size"], "linespacing": 1.0},
        cbar=False,
        linewidths=1,
        ax=axes,
    )
    lost = cells["trained"] == 0
    for y, x in zip(row[lost], column[lost], strict=True):
        inside = {"xy": (x + 0.01, y + 0.02), "width": 0.98, "height": 0.96}
        axes.add_patch(matplotlib.patches.Rectangle(**inside, fc=UNTRAINED_COLOUR, **UNTRAINED))
    ended = lost & (cells["diverged"] > 0)
    if ended.any():
        lines.crosses(axes, column[ended] + 0.5, row[ended] + 0.5, style.QUIET)
    axes.set_yticks(
        np.arange(len(norms)) + 0.5,
        [naming.label(one, naming.NARROW_LABEL) for one in norms],
        rotation=0,
    )
    axes.set_xticks(
        np.arange(len(rates)) + 0.5, [f"${scales.number(one)}$" for one in rates], rotation=0
    )
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set(xlabel="learning rate", ylabel="")


def _cell_text(cell):
    """The number to two digits, and of how many runs where some did not train."""
    if np.isnan(cell.value):
        return ""
    value = f"{cell.value:#.2g}".rstrip(".")
    if np.isposinf(cell.value):
        value = r"\infty"
    elif "e" in value:
        value = scales.number(float(value))
    share = "" if cell.trained == cell.runs else f"\n{cell.trained} of {cell.runs}"
    return f"${value}${share}"


def _footer(table):
    peak = rf"$\mathrm{{max}}_{{t \geq {training.EARLY}}} \;\beta_t \; \mathrm{{lr}} / 2$"
    footer = [f"{peak};", "1: the plateau."]
    runs = int(table["runs"].max())
    if runs > 1:
        footer.append(f"Mean over up to {runs} runs, of those that trained.")
    return footer


def _handles(table):
    lost = table["trained"] == 0
    handles = []
    if lost.any():
        handles.append(canvas.patch_handle("does not train", UNTRAINED_COLOUR, **UNTRAINED))
    if (lost & (table["diverged"] > 0)).any():
        handles.append(lines.diverged_handle())
    return handles


def _applies(runs):
    """With a schedule there is no one rate, and no one plateau, to measure the smoothness by."""
    constant = all(
        run.settings.get("schedule", "constant") == "constant" and not run.settings.get("warmup")
        for run in runs
    )
    compared = learning_rates.are_compared(runs, **NEEDED)
    return constant and compared and are_measured(["landscape"], runs)


ENTRY = Entry(
    "smoothness_map",
    "Effective β-smoothness over normalisation and learning rate",
    draw,
    data,
    {"landscape": "smoothness", "train": "loss"},
    f"Largest effective β-smoothness after the first {training.EARLY} steps, as β lr / 2, so "
    "that 1 is the plateau 2/lr at every learning rate; geometric mean over those seeds that "
    "trained. Hatched: no run trained, and a flat landscape says nothing then. Smoothing may "
    "need a high learning rate: verdicts hold for the one they were measured at. A white cell has "
    "not been measured.",
    "Not shown in the paper. Jastrzebski et al. 2020 (2002.09572).",
    applies=_applies,
)
