"""How inputs of non-linearities are distributed (Santurkar et al. 2018, Fig 1c, 2, 6, 8, 9)."""

import matplotlib
import matplotlib.colors
import matplotlib.ticker
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, numbering, style
from bnkit.report.runs import ReportError
from bnkit.report.statistics import arms

MOMENTS = {"mean": r"$|\Delta$ mean$|$", "variance": r"$|\Delta$ variance$|$"}
MOST_RIDGES = 10
MOST_COLUMNS = 4
# Height of every ridge, in distances from one to the next.
HEIGHT = 1.5
# The x axis ends this many typical widths from the typical centre, and after the outermost ridge.
REACH = 3
# No bin is narrower than the panel over this.
FINEST = 120


def activation_ridges_data(activations, layers=None):
    """What `activation_ridges` draws: a row per ridge and bin.

    Columns `layer, number, condition, norm, run, seed, unit, step, mean, left, right, density,
    height`. `number` counts layers from 1; `left, right` are the ends of the bin within the panel;
    `density` is the share of all values that are in the bin, over its width, and `height` the same
    over the largest of the ridge. A capture without a value has one row, without a density.
    """
    table = _of_layers(arms.with_condition(activations), layers)
    table = _first_runs(table)
    table = table.groupby(["condition", "run", "step", "layer"], observed=True).head(1)
    table = _spread(table)
    identity = ["layer", "number", "condition", "norm", "run", "seed", "unit", "step", "mean"]
    parts = []
    for _, alike in table.groupby("layer", sort=False):
        left, right = _limits(alike["quantiles"])
        for ridge in alike.itertuples():
            known = {name: getattr(ridge, name) for name in identity}
            parts.append(pandas.DataFrame({**known, **_bins(ridge, left, right)}))
    if not parts:
        return table.reindex(columns=[*identity, "left", "right", "density", "height"])
    ridges = pandas.concat(parts, ignore_index=True)
    return ridges.astype({"condition": table["condition"].dtype})


def activation_ridges(activations, layers=None):
    """The distribution of one unit's inputs to the non-linearity as it changes over the run.

    Args:
      activations: records of kind "activations", as from `load_runs`.
      layers: names of the layers to show; by default 3 and 11, as in Fig 2, of a network with 17 or
        more 9 and 13, as in Fig 9; the last layer, which no non-linearity follows, never.

    Returns:
      A matplotlib Figure: for every layer a panel per arm, of the first unit that has been drawn,
      in the run of the lowest seed. In a panel the densities at up to ten captures, the first on
      top; the x axis is that of the layer.

    Raises:
      ReportError: a layer that has not been measured.
    """
    title = "Inputs of the non-linearity over the run"
    with matplotlib.rc_context(style.RC):
        if not _is_finite(activations, ["mean"]):
            return canvas.message(title, "No finite activation has been recorded.")
        table = activation_ridges_data(activations, layers)
        grid = _grid(table, layers)
        seeds = ", ".join(f"{seed:g}" for seed in sorted(table["seed"].unique()))
        footer = [
            "Densities of one unit's inputs over the batch,",
            f"seed {seeds};",
            "first capture on top, later ones darker;",
            "all drawn to the same height.",
        ]
        mean = canvas.line_handle("mean", color=style.INK, linestyle="none", marker="|")
        page = canvas.Canvas(
            title, *grid.shape, footer, [mean], height=1.9, share_x=False, share_y=False
        )
        for panels, row in zip(page.axes, grid, strict=True):
            before = None
            for axes, key in zip(panels, row, strict=True):
                if key is None:
                    axes.set_axis_off()
                    continue
                layer, condition, norm = key
                alike = table[table["layer"] == layer]
                shown = alike[alike["condition"] == condition]
                steps = sorted(shown["step"].unique())
                panel = shown[shown["norm"] == norm]
                axes.set_xlim(alike["left"].min(), alike["right"].max())
                _ridges(axes, panel, steps)
                page.name(axes, f"{style.label(norm, 16)}, {condition}")
                axes.set_yticklabels([] if steps == before else [f"{step:g}" for step in steps])
                if before is None:
                    units = ", ".join(f"{unit:g}" for unit in sorted(alike["unit"].unique()))
                    axes.set_ylabel(f"{_layer_name(alike)}\nunit {units}, step")
                before = steps
        page.label_x("input of the non-linearity")
        return page.figure


def activation_drift_data(activations, layers=None):
    """What `activation_drift` draws: `layer, number, moment`, and the columns of `arms.curves`."""
    table = _of_layers(arms.with_condition(activations), layers)
    keys = ["condition", "norm", "run", "seed", "layer", "number", "step"]
    changes = {moment: f"{moment}_change" for moment in MOMENTS}
    sizes = table[keys].assign(**{one: table[change].abs() for one, change in changes.items()})
    # One unit that is not a number makes the layer none.
    sizes = sizes.groupby(keys, observed=True, as_index=False).agg(
        {moment: lambda units: units.mean(skipna=False) for moment in MOMENTS}
    )
    tables = [
        arms.curves(sizes, moment, ["layer", "number"], log=True).assign(moment=moment)
        for moment in MOMENTS
    ]
    return pandas.concat([one for one in tables if len(one)] or tables[:1], ignore_index=True)


def activation_drift(activations, layers=None):
    """By how much mean and variance of the inputs to non-linearities change between captures.

    Args:
      activations, layers: as for `activation_ridges`.

    Returns:
      A matplotlib Figure: for every condition and layer a panel for the mean and one for the
      variance, averages of absolute changes over the units of the layer, on logarithmic axes.

    Raises:
      ReportError: a layer that has not been measured.
    """
    title = "Change of the inputs to non-linearities from one capture to the next"
    with matplotlib.rc_context(style.RC):
        if not _is_finite(activations, [f"{moment}_change" for moment in MOMENTS]):
            return canvas.message(title, "No finite change of activations has been recorded.")
        table = activation_drift_data(activations, layers)
        rows = [
            (condition, layer)
            for condition in table["condition"].cat.categories
            for layer in _layers(table[table["condition"] == condition], layers)
        ]
        handles = canvas.norm_handles(arms.norms(table)) + lines.run_handles(table)
        footer = [
            "Absolute change of a unit's mean and variance over the batch since the capture",
            "before;",
            "mean over the units captured.",
        ]
        page = canvas.Canvas(title, len(rows), 2, footer, handles, height=1.2, share_y=False)
        for panels, (condition, layer) in zip(page.axes, rows, strict=True):
            alike = table[(table["condition"] == condition) & (table["layer"] == layer)]
            for axes, (moment, label) in zip(panels, MOMENTS.items(), strict=True):
                panel = alike[alike["moment"] == moment]
                lines.draw(axes, panel)
                axes.set_ylabel(label)
                canvas.step_axis(axes, table["step"].max())
                canvas.value_axis(axes, [panel["value"]], log=True)
            page.name(panels[0], f"{_layer_name(alike)}, {condition}")
        page.label_x("step")
        return page.figure


_MEAN = {"color": style.INK, "linewidth": 1.1}
_NOTE = {"ha": "center", "va": "bottom", "color": style.QUIET}


def _is_finite(frame, columns):
    return numpy.isfinite(frame[columns]).any(axis=None)


def _of_layers(table, layers):
    """The rows of the layers to show, with their `number`."""
    table = numbering.with_layer_numbers(table)
    if layers is not None:
        known = list(dict.fromkeys(table["layer"]))
        unknown = [layer for layer in layers if layer not in known]
        if unknown:
            raise ReportError(f"layers {unknown} have not been measured; there are {known}")
        return table[table["layer"].isin(layers)]
    count = table.groupby("condition", observed=True)["number"].transform("max")
    last = (count - 1).clip(lower=1)
    wanted = [
        (count >= 17).map({True: deep, False: shallow}) for deep, shallow in ((9, 3), (13, 11))
    ]
    shown = [table["number"] == number.clip(upper=last) for number in wanted]
    return table[shown[0] | shown[1]]


def _first_runs(table):
    """Of every arm the run of the lowest seed."""
    runs = table.sort_values("seed", kind="stable").drop_duplicates(["condition", "norm"])
    return table.merge(runs[["condition", "norm", "run"]])


def _spread(table):
    """At most `MOST_RIDGES` captures of each condition, evenly spread over the run."""
    parts = [one[one["step"].isin(_evenly(one["step"]))] for _, one in _by_condition(table)]
    return pandas.concat(parts) if parts else table


def _by_condition(table):
    return table.groupby("condition", observed=True)


def _evenly(steps):
    steps = numpy.unique(steps)
    wanted = numpy.linspace(steps[0], steps[-1], min(MOST_RIDGES, len(steps)))
    return steps[numpy.abs(steps - wanted[:, None]).argmin(axis=1)]


def _limits(quantiles):
    """Ends of the x axis for ridges with these quantiles, in ascending order each."""
    outer = numpy.array([[one[0], one[-1]] for one in quantiles], dtype=float)
    outer = outer[numpy.isfinite(outer).all(axis=1)]
    if not len(outer):
        return -1.0, 1.0
    low, high = outer.T
    centre, reach = numpy.median((low + high) / 2), REACH * numpy.median(high - low)
    left, right = max(low.min(), centre - reach), min(high.max(), centre + reach)
    room = 0.12 * (right - left) or 0.5 * abs(left) or 0.5
    return left - room, right + room


def _bins(ridge, left, right):
    """The histogram of `ridge` from `left` to `right`, in bins that its values suffice for.

    Bins of the record are joined up to the width `2 IQR n^(-1/3)` of Freedman and Diaconis (1981).
    """
    counts, edges = numpy.array(ridge.histogram, float), numpy.array(ridge.edges, float)
    total = counts.sum()
    if not total > 0:
        return {"left": [left], "right": [right], "density": [numpy.nan], "height": [numpy.nan]}
    lower, upper = numpy.interp([0.25, 0.75], ridge.quantile_levels, ridge.quantiles)
    width = (right - left) / FINEST
    if numpy.isfinite([lower, upper]).all():
        width = max(width, 2 * (upper - lower) / numpy.cbrt(total))
    kept = _joined(edges, width)
    sums = numpy.add.reduceat(counts, kept[:-1])
    ends = edges[kept]
    density = sums / total / numpy.diff(ends)
    seen = (ends[1:] > left) & (ends[:-1] < right)
    ends = numpy.clip(ends, left, right)
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
    return numpy.array(kept)


def _ridges(axes, panel, steps):
    """The ridges of one panel: the first step's on top, later ones below, darker and in front."""
    colour = style.colour(panel["norm"].iloc[0])
    for place, step in enumerate(steps):
        ridge = panel[panel["step"] == step]
        if not len(ridge):
            continue
        if ridge["density"].isna().all():
            axes.axhline(-place, color=colour, linewidth=0.7)
            axes.text(0.5, -place, "no number", transform=axes.get_yaxis_transform(), **_NOTE)
            continue
        x, height = _polygon(ridge)
        y = HEIGHT * height - place
        fill = _lighter(colour, 0.15 + 0.6 * place / max(len(steps) - 1, 1))
        axes.fill_between(x, -place, y, color=fill, linewidth=0, zorder=2 + place)
        axes.plot(x, y, color=colour, linewidth=0.7, zorder=2 + place)
        _mean(axes, ridge["mean"].iloc[0], -place, zorder=2 + len(steps))
    axes.set_ylim(0.4 - len(steps), HEIGHT + 0.1)
    axes.set_yticks(-numpy.arange(len(steps)))
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(nbins=5))


def _polygon(ridge):
    """Points of the frequency polygon: the height in the middle of each bin, and at both ends."""
    left, right, height = (ridge[name].to_numpy() for name in ("left", "right", "height"))
    x = numpy.concatenate([left[:1], (left + right) / 2, right[-1:]])
    return x, numpy.concatenate([height[:1], height, height[-1:]])


def _mean(axes, mean, base, zorder):
    """A tick at the mean, or a triangle at the end of the axis that it is beyond."""
    left, right = axes.get_xlim()
    if left <= mean <= right:
        axes.plot([mean, mean], [base, base + 0.5], zorder=zorder, **_MEAN)
    elif not numpy.isnan(mean):
        place, marker = (0, "<") if mean < left else (1, ">")
        axes.plot(
            place,
            base + 0.2,
            transform=axes.get_yaxis_transform(),
            marker=marker,
            markersize=4,
            clip_on=False,
            zorder=zorder,
            **_MEAN,
        )


def _lighter(colour, strength):
    """`colour` on white paper: 0 is white, 1 the colour itself."""
    return 1 + strength * (numpy.array(matplotlib.colors.to_rgb(colour)) - 1)


def _grid(table, layers):
    """`(layer, condition, norm)` of every panel as an array, None where one stays empty.

    A layer starts a row of its own, and takes as many as its arms need.
    """
    keys = table[["layer", "condition", "norm"]].drop_duplicates()
    panels = []
    for layer in _layers(table, layers):
        there = keys[keys["layer"] == layer]
        pairs = there[["condition", "norm"]].itertuples(index=False, name=None)
        order = list(table["condition"].cat.categories)
        pairs = sorted(pairs, key=lambda pair: (order.index(pair[0]), style.rank(pair[1])))
        panels.append([(layer, *pair) for pair in pairs])
    most = max(map(len, panels))
    columns = -(-most // -(-most // MOST_COLUMNS))
    grid = numpy.full((sum(-(-len(one) // columns) for one in panels), columns), None)
    row = 0
    for one in panels:
        for place, key in enumerate(one):
            grid[row + place // columns, place % columns] = key
        row += -(-len(one) // columns)
    return grid


def _layers(table, layers):
    """Names of the layers in `table`: as asked for, or in forward order."""
    names = list(dict.fromkeys(table.sort_values("number", kind="stable")["layer"]))
    return names if layers is None else [layer for layer in layers if layer in names]


def _layer_name(table):
    name = style.literal(style.shorten(str(table["layer"].iloc[0]), 16))
    return f"{name} (layer {table['number'].iloc[0]})"
