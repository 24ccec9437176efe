"""Distributions of the inputs of non-linearities (Santurkar et al. 2018, Fig 1c, 2, 6, 9)."""

import matplotlib.colors
import matplotlib.ticker
import numpy as np
import pandas as pd

from bnkit.report import naming
from bnkit.report.drawing import canvas, numbering, panels, style
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

MOST_RIDGES = 10
MOST_COLUMNS = 4
# Height of every ridge, in distances from one to the next.
HEIGHT = 1.5
# The x axis ends this many typical widths from the typical centre, and after the outermost ridge.
REACH = 3
# No bin is narrower than the panel over this.
FINEST = 120
# Characters that the name of an arm or a layer has room for.
LABEL = 16
IDENTITY = ["layer", "number", "condition", "norm", "run", "seed", "unit", "step", "mean"]
MEAN = {"color": style.INK, "linewidth": 1.1}
NOTE = {"ha": "center", "va": "bottom", "color": style.QUIET}


def data(activations):
    """What `draw` draws: a row per ridge and bin.

    Columns `layer, number, condition, norm, run, seed, unit, step, mean, left, right, density,
    height`. `number` counts layers from 1; `left, right` are the ends of the bin within the panel;
    `density` is the share of all values that are in the bin, over its width, and `height` the same
    over the largest of the ridge. A capture without a value has one row, without a density.
    """
    table = numbering.chosen(arms.with_condition(activations), numbering.of_activations)
    table = _first_runs(table)
    table = table.groupby(["condition", "run", "step", "layer"], observed=True).head(1)
    table = _spread(table)
    parts = []
    for _, alike in table.groupby("layer", sort=False):
        left, right = _limits(alike["quantiles"])
        for ridge in alike.itertuples():
            known = {name: getattr(ridge, name) for name in IDENTITY}
            parts.append(pd.DataFrame({**known, **_bins(ridge, left, right)}))
    if not parts:
        return table.reindex(columns=[*IDENTITY, "left", "right", "density", "height"])
    return pd.concat(parts, ignore_index=True).astype({"condition": table["condition"].dtype})


@style.context()
def draw(activations):
    """The distribution of one unit's inputs to the non-linearity as it changes over the run.

    For every layer (`numbering.of_activations`) a panel per arm, of the first unit of the run with
    the lowest seed. In a panel the densities at up to ten captures, the first on top; the x axis is
    that of the layer.
    """
    title = "Inputs of the non-linearity over the run"
    if not np.isfinite(activations["mean"]).any():
        return canvas.message(title, "No finite activation has been recorded.")
    table = data(activations)
    rows = panels.wrapped(_panels(table), MOST_COLUMNS)
    seeds = ", ".join(f"{seed:g}" for seed in sorted(table["seed"].unique()))
    footer = [
        "Densities of one unit's inputs over the batch,",
        f"seed {seeds};",
        "first capture on top, later ones darker;",
        "all drawn to the same height.",
    ]
    mean = canvas.line_handle("mean", color=style.INK, linestyle="none", marker="|")
    width = max(map(len, rows))
    page = canvas.Canvas(
        title, len(rows), width, footer, [mean], height=1.9, share_x=False, share_y=False
    )
    for line, row in zip(page.axes, rows, strict=True):
        before = None
        for axes, (layer, condition, norm) in zip(line, row, strict=False):
            alike = table[table["layer"] == layer]
            shown = alike[alike["condition"] == condition]
            steps = sorted(shown["step"].unique())
            axes.set_xlim(alike["left"].min(), alike["right"].max())
            _ridges(axes, shown[shown["norm"] == norm], steps)
            page.name(axes, f"{naming.label(norm, LABEL)}, {condition}")
            axes.set_yticklabels([] if steps == before else [f"{step:g}" for step in steps])
            if before is None:
                axes.set_ylabel(_label(alike))
            before = steps
    page.label_x("input of the non-linearity")
    return page.figure


def _panels(table):
    """For every layer `(layer, condition, norm)` of its panels."""
    table = table.sort_values("number", kind="stable")
    return [
        [
            (layer, condition, norm)
            for condition, there in alike.groupby("condition", observed=True)
            for norm in arms.norms(there)
        ]
        for layer, alike in table.groupby("layer", sort=False)
    ]


def _label(alike):
    name = naming.literal(naming.shorten(str(alike["layer"].iloc[0]), LABEL))
    units = ", ".join(f"{unit:g}" for unit in sorted(alike["unit"].unique()))
    return f"{name} (layer {alike['number'].iloc[0]})\nunit {units}, step"


def _first_runs(table):
    """Of every arm the run of the lowest seed."""
    runs = table.sort_values("seed", kind="stable").drop_duplicates(["condition", "norm"])
    return table.merge(runs[["condition", "norm", "run"]])


def _spread(table):
    """At most `MOST_RIDGES` captures of each condition, evenly spread over the run."""
    conditions = table.groupby("condition", observed=True)
    parts = [one[one["step"].isin(_evenly(one["step"]))] for _, one in conditions]
    return pd.concat(parts) if parts else table


def _evenly(steps):
    steps = np.unique(steps)
    if len(set(np.diff(steps))) <= 1:
        # At even distances: every second, every third ...
        return steps[:: -(-len(steps) // MOST_RIDGES)]
    wanted = np.linspace(steps[0], steps[-1], min(MOST_RIDGES, len(steps)))
    return steps[np.abs(steps - wanted[:, None]).argmin(axis=1)]


def _limits(quantiles):
    """Ends of the x axis for ridges with these quantiles, in ascending order each."""
    outer = np.array([[one[0], one[-1]] for one in quantiles], dtype=float)
    outer = outer[np.isfinite(outer).all(axis=1)]
    if not len(outer):
        return -1.0, 1.0
    low, high = outer.T
    centre, reach = np.median((low + high) / 2), REACH * np.median(high - low)
    left, right = max(low.min(), centre - reach), min(high.max(), centre + reach)
    room = 0.12 * (right - left) or 0.5 * abs(left) or 0.5
    return left - room, right + room


def _bins(ridge, left, right):
    """The histogram of `ridge` from `left` to `right`, in bins that its values suffice for.

    Bins of the record are joined up to the width `2 IQR n^(-1/3)` of Freedman and Diaconis (1981).
    """
    counts, edges = np.array(ridge.histogram, float), np.array(ridge.edges, float)
    total = counts.sum()
    if not total > 0:
        return {"left": [left], "right": [right], "density": [np.nan], "height": [np.nan]}
    lower, upper = np.interp([0.25, 0.75], ridge.quantile_levels, ridge.quantiles)
    width = (right - left) / FINEST
    if np.isfinite([lower, upper]).all():
        width = max(width, 2 * (upper - lower) / np.cbrt(total))
    kept = _joined(edges, width)
    sums = np.add.reduceat(counts, kept[:-1])
    ends = edges[kept]
    density = sums / total / np.diff(ends)
    seen = (ends[1:] > left) & (ends[:-1] < right)
    ends = np.clip(ends, left, right)
    return {
        "left": ends[:-1][seen],
        "right": ends[1:][seen],
        "density": density[seen],
        "height": density[seen] / density.max(),
    }


def _joined(edges, width):
    """Positions of the edges that are left once every bin is at least `width` wide."""
    kept = [0]
    for position in range(1, len(edges)):
        if edges[position] - edges[kept[-1]] >= width:
            kept.append(position)
    # What is left at the end goes to the last bin.
    kept[-1 if len(kept) > 1 else 1 :] = [len(edges) - 1]
    return np.array(kept)


def _ridges(axes, panel, steps):
    """The ridges of one panel: the first step's on top, later ones below, darker and in front."""
    colour = naming.colour(panel["norm"].iloc[0])
    for place, step in enumerate(steps):
        ridge = panel[panel["step"] == step]
        if not len(ridge):
            continue
        if ridge["density"].isna().all():
            axes.axhline(-place, color=colour, linewidth=0.7)
            axes.text(0.5, -place, "NaN", transform=axes.get_yaxis_transform(), **NOTE)
            continue
        x, height = _polygon(ridge)
        y = HEIGHT * height - place
        fill = _lighter(colour, 0.15 + 0.6 * place / max(len(steps) - 1, 1))
        axes.fill_between(x, -place, y, color=fill, linewidth=0, zorder=2 + place)
        axes.plot(x, y, color=colour, linewidth=0.7, zorder=2 + place)
        _mean(axes, ridge["mean"].iloc[0], -place, zorder=2 + len(steps))
    axes.set_ylim(0.4 - len(steps), HEIGHT + 0.1)
    axes.set_yticks(-np.arange(len(steps)))
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(nbins=5))


def _polygon(ridge):
    """Points of the frequency polygon: the height in the middle of each bin, and at both ends."""
    left, right, height = (ridge[name].to_numpy() for name in ("left", "right", "height"))
    x = np.concatenate([left[:1], (left + right) / 2, right[-1:]])
    return x, np.concatenate([height[:1], height, height[-1:]])


def _mean(axes, mean, base, zorder):
    """A tick at the mean, or a triangle at the end of the axis that it is beyond."""
    left, right = axes.get_xlim()
    if left <= mean <= right:
        axes.plot([mean, mean], [base, base + 0.5], zorder=zorder, **MEAN)
    elif not np.isnan(mean):
        place, marker = (0, "<") if mean < left else (1, ">")
        axes.plot(
            place,
            base + 0.2,
            transform=axes.get_yaxis_transform(),
            marker=marker,
            markersize=4,
            clip_on=False,
            zorder=zorder,
            **MEAN,
        )


def _lighter(colour, strength):
    """`colour` on white paper: 0 is white, 1 the colour itself."""
    return 1 + strength * (np.array(matplotlib.colors.to_rgb(colour)) - 1)


ENTRY = Entry(
    "activation_ridges",
    "Inputs of the non-linearity over the run",
    draw,
    data,
    {"activations": "mean"},
    "The inputs of the non-linearity, after normalisation and noise (in a linear network what "
    "the layer passes on), of one randomly chosen unit over the batch (and height and width): "
    "their density at captures spread over the run with the lowest seed, the first on top, "
    "later ones below and darker. The mark is the mean; a triangle is a mean beyond the axis. "
    "Each density is scaled to the same height; the x axis is the same for all arms of a "
    "layer. Ridges that keep their place and width are inputs with a stable distribution.",
    "Fig 1c, 2, 6 and 9 of the paper.",
)
