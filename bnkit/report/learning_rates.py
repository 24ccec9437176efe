"""What runs at several learning rates say together: on their loss, accuracy and smoothness."""

import itertools

import matplotlib
import matplotlib.colors
import matplotlib.patches
import matplotlib.ticker
import numpy
import pandas
import seaborn

from bnkit.report import arms, canvas, curves, style, summary
from bnkit.report.landscape import TITLE_LABEL, panels

RUN = ["study", "run"]
CELL = ["condition", "norm", "lr"]
# How many learning rates a normalisation needs for each figure, and how many such normalisations.
ENVELOPE = {"rates": 2}
LARGEST = {"rates": 3}
MAP = {"rates": 3, "norms": 2}
# Inches from the middle of a learning rate's label to that of the next.
LABEL_ROOM = 0.42
# Distance of one normalisation's dots at a learning rate from the next, in parts of all rates.
ASIDE = 0.012
CELL_HEIGHT = 0.36
# More learning rates than this make a map as wide as the page.
MOST_NARROW = 4
# Light to dark throughout: it can be read in grey, and by colour-blind readers.
COLOURS = "YlGnBu"
# The colours of a map reach over this factor at least: small differences do not look large.
LEAST_RANGE = 4
UNTRAINED = {"hatch": "////", "edgecolor": "#A6A6A6", "linewidth": 0}
UNTRAINED_COLOUR = "#EBEBEB"
DOT = {"marker": "o", "markersize": 3.6, "linestyle": "none"}


def compare(rates, norms=1):
    """A test of runs: are there `norms` normalisations with `rates` learning rates each?

    All under one condition, so that only normalisation, learning rate and seed differ.
    """

    def applies(runs):
        settings = pandas.DataFrame([{**run.identity, "step": 0} for run in runs])
        return len(_comparable(arms.with_condition(settings, lr=False), rates, norms)) > 0

    return applies


def learning_rate_envelope_data(train):
    """What `learning_rate_envelope` draws: `condition, norm, step, low, high, rates, runs`.

    `low, high` are the extremes over the learning rates `rates` (a tuple) of the running mean of
    the loss; of its geometric mean over seeds where a learning rate has several, at most `runs`.
    """
    train = _comparable(arms.with_condition(train, lr=False), **ENVELOPE)
    means = arms.curves(train, "loss", ["lr"], curves.WINDOW, log=True)
    means = means[means["series"] == "mean"]
    ends = _ends_of_diverged(train)
    tables = [
        _envelope(arm, ends[(ends["condition"] == condition) & (ends["norm"] == norm)])
        for (condition, norm), arm in means.groupby(["condition", "norm"], observed=True)
        if arm["lr"].nunique() >= ENVELOPE["rates"]
    ]
    columns = ["condition", "norm", "step", "low", "high", "rates", "runs"]
    table = pandas.concat(tables, ignore_index=True) if tables else means
    return table.reindex(columns=columns)


def learning_rate_envelope(train):
    """Range of the training loss over separately trained learning rates, at every step.

    It is not the landscape along the gradient: that is around the weights of one run
    (`landscape.loss_band`), and every edge of this range at the weights of another.

    Args:
      train: records of kind "train", as from `load_runs`.

    Returns:
      A matplotlib Figure; the y axis is logarithmic and shared. From the end of a run that
      diverged on an area has no upper end. It ends with the first of the other runs that does.
    """
    title = "Learning-rate envelope of the loss"
    with matplotlib.rc_context(style.RC):
        table = learning_rate_envelope_data(train)
        if not numpy.isfinite(table[["low", "high"]]).any(axis=None):
            return canvas.message(title, "No finite losses at two learning rates.")
        handles = canvas.norm_handles(arms.norms(table))
        if numpy.isposinf(table["high"]).any():
            handles.append(_triangle_handle("a run diverged"))
        shown = panels(table)
        page = canvas.Canvas(title, *shown.shape, _envelope_footer(table), handles)
        for axes, panel in zip(page.axes.flat, shown.flat, strict=True):
            if not panel:
                continue
            for norm, arm in panel.of(table).groupby("norm"):
                _draw_envelope(axes, arm, style.colour(norm))
            page.name(axes, panel.title)
            canvas.step_axis(axes, table["step"].max())
            canvas.value_axis(axes, [table["low"], table["high"]], log=True)
        for axes in page.axes[:, 0]:
            axes.set_ylabel("training loss")
        page.label_x("step")
        return page.figure


def largest_learning_rate_data(train):
    """What `largest_learning_rate` draws: a row per run, per mean over seeds, and per dashed level.

    Returns:
      `condition, norm, lr, run, seed, quantity, series, value, runs`; `series` is "run",
      "diverged" (such a run), "mean" (over `runs` of both; of losses the geometric one) or
      "guessing". `quantity` is "accuracy", or "loss" where a condition has no accuracy. A run that
      diverged has the accuracy of guessing (0 where the number of classes is not known), or an
      infinite loss.
    """
    runs = _comparable(arms.with_condition(_final(train), lr=False), **LARGEST)
    classifies = runs.groupby("condition", observed=True)["accuracy"].transform("count") > 0
    guessing = 1 / runs["classes"]
    worst = guessing.fillna(0).where(classifies, numpy.inf)
    runs = runs.assign(
        series=runs["diverged"].map({True: "diverged", False: "run"}),
        quantity=classifies.map({True: "accuracy", False: "loss"}),
        value=runs["accuracy"].where(classifies, runs["loss"]).mask(runs["diverged"], worst),
    )
    cell = [*CELL, "quantity"]
    means = runs.assign(value=runs["value"].where(classifies, _log(runs["value"])))
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
    columns = [*CELL, "run", "seed", "quantity", "series", "value", "runs"]
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


def smoothness_map_data(landscape, train):
    """What `smoothness_map` draws: `condition, norm, lr, value, runs, trained, diverged`.

    `value` is the geometric mean of `beta lr / 2` over those `trained` of the `runs` of a cell that
    neither diverged (as `diverged` of them did) nor stayed at guessing (`summary.never_trained`).
    """
    peaks = arms.largest_smoothness(landscape)
    peaks = peaks[peaks["step"] >= summary.EARLY].groupby(RUN)["smoothness"].max()
    runs = _final(train).merge(peaks.reset_index(), on=RUN, how="left")
    runs = _comparable(arms.with_condition(runs, lr=False), **MAP)
    facts = runs[["status", "recorded", "accuracy", "classes"]].itertuples(index=False, name=None)
    guesses = numpy.array([summary.never_trained(*one) for one in facts], dtype=bool)
    trained = ~guesses & ~runs["diverged"]
    value = _log(runs["smoothness"] * runs["lr"] / 2).where(trained)
    cells = runs.assign(value=value, trained=trained).groupby(CELL, observed=True, as_index=False)
    table = cells.agg(
        value=("value", "mean"),
        runs=("run", "count"),
        trained=("trained", "sum"),
        diverged=("diverged", "sum"),
    )
    return table.assign(value=numpy.exp(table["value"]))


def smoothness_map(landscape, train):
    """Peak effective smoothness of every normalisation and learning rate, over the plateau 2/lr.

    Args:
      landscape: records of kind "landscape", as from `load_runs`.
      train: those of kind "train", which tell what trained. Runs that have not ended are left out.

    Returns:
      A matplotlib Figure: a map per condition with the number in every cell. One without a run that
      trained is hatched, or has a cross where one diverged.
    """
    title = r"Peak $\beta$-smoothness relative to 2/lr"
    with matplotlib.rc_context(style.RC):
        table = smoothness_map_data(landscape, train)
        if not numpy.isfinite(table["value"]).any():
            return canvas.message(title, "No finite peak at three learning rates.")
        maps = [(name, one) for name, one in table.groupby("condition", observed=True)]
        page = canvas.Canvas(
            title,
            len(maps),
            1,
            _map_footer(table),
            _map_handles(table),
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


def _comparable(table, rates, norms=1):
    """The rows of the conditions in which `norms` normalisations have `rates` learning rates."""
    found = table.groupby(["condition", "norm"], observed=True)["lr"].nunique()
    enough = (found >= rates).groupby("condition", observed=True).sum() >= norms
    rows = table[table["condition"].isin(enough.index[enough])]
    return rows.assign(condition=rows["condition"].cat.remove_unused_categories())


def _final(train):
    """One row per run that has ended: settings, and means over the last steps as in the headlines.

    `step` is the last one, `recorded` how many there are.
    """
    train = train[train["status"].isin(summary.ENDED)]
    steps = train.groupby(RUN)["step"]
    last = train[train["step"] > steps.transform("max") - summary.LAST]
    means = last.groupby(RUN)[["accuracy", "loss"]].mean().assign(recorded=steps.size())
    rows = train.drop(columns=["accuracy", "loss"]).drop_duplicates(RUN, keep="last")
    rows = rows.assign(diverged=rows["status"] == "diverged")
    return rows.merge(means.reset_index(), on=RUN)


def _log(values):
    return numpy.log(values.where(values > 0))


def _ends_of_diverged(train):
    """`condition, norm, lr, step`: last finite loss of the first run to diverge, else -1."""
    diverged = train[train["status"] == "diverged"]
    finite = diverged.assign(step=diverged["step"].where(numpy.isfinite(diverged["loss"])))
    last = finite.groupby([*CELL, "run"], observed=True)["step"].max().fillna(-1)
    return last.groupby(CELL, observed=True).min().reset_index()


def _envelope(arm, ends):
    """`learning_rate_envelope_data` of one arm, from the mean loss at each learning rate."""
    values = arm.pivot(index="step", columns="lr", values="value")
    for end in ends.itertuples():
        values.loc[values.index > end.step, end.lr] = numpy.inf
    values = values.dropna()
    extremes = pandas.DataFrame({"low": values.min(axis=1), "high": values.max(axis=1)})
    table = arm[["condition", "norm"]].iloc[[0]].merge(extremes.reset_index(), how="cross")
    return table.assign(rates=[tuple(values.columns)] * len(values), runs=arm["runs"].max())


def _draw_envelope(axes, arm, colour):
    steps, low, high = (arm[name].to_numpy() for name in ("step", "low", "high"))
    # A triangle at every step without an upper end would be a bar: one where a stretch begins.
    canvas.band(axes, steps, low, high.clip(max=canvas.BEYOND), colour, alpha=0.3, linewidth=0)
    unbounded = numpy.isposinf(high)
    canvas.arrows(axes, steps[unbounded & ~numpy.append(False, unbounded[:-1])], colour)
    for edge in (low, high):
        edge = numpy.where(numpy.isposinf(edge), numpy.nan, edge)
        canvas.line(axes, steps, edge, color=colour, linewidth=0.8)


def _envelope_footer(table):
    grids = [", ".join(map(canvas.number, grid)) for grid in table["rates"].unique()]
    phrases = [rf"lr $\in \{{{grid}\}}$;" for grid in grids]
    seeds = int(table["runs"].max())
    return [
        f"Area: smallest to largest loss (running mean, {curves.WINDOW} steps)",
        "over separately trained runs;",
        *(["learning rates differ:"] if len(phrases) > 1 else []),
        *phrases,
        *([f"mean over up to {seeds} seeds each;"] if seeds > 1 else []),
        "not the landscape along the gradient.",
    ]


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
    return [f"On training batches, mean of the last {summary.LAST} steps.", *lines]


def _rate_handles(table):
    series = set(table["series"])
    handles = canvas.norm_handles(arms.norms(table[table["series"] == "mean"]))
    handles.append(canvas.line_handle("each run", color=style.QUIET, **DOT))
    infinite = numpy.isposinf(table["value"])
    if ((table["series"] == "diverged") & ~infinite).any():
        handles.append(curves.diverged_handle())
    if infinite.any():
        handles.append(_triangle_handle("infinite"))
    if "guessing" in series:
        handles.append(canvas.line_handle("guessing", **canvas.DASHED))
    return handles


def _triangle_handle(label):
    look = {"color": style.QUIET, "marker": "^", "markersize": 4, "linestyle": "none"}
    return canvas.line_handle(label, **look)


def _colour_scale(values):
    values = values[numpy.isfinite(values)]
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
        canvas.crosses(axes, column[ended] + 0.5, row[ended] + 0.5, style.QUIET)
    axes.set_yticks(
        numpy.arange(len(norms)) + 0.5, [style.label(one, TITLE_LABEL) for one in norms], rotation=0
    )
    axes.set_xticks(
        numpy.arange(len(rates)) + 0.5, [f"${canvas.number(one)}$" for one in rates], rotation=0
    )
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set(xlabel="learning rate", ylabel="")


def _cell_text(cell):
    """The number to two digits, and of how many runs where some did not train."""
    if numpy.isnan(cell.value):
        return ""
    value = f"{cell.value:#.2g}".rstrip(".")
    if numpy.isposinf(cell.value):
        value = r"\infty"
    elif "e" in value:
        value = canvas.number(float(value))
    share = "" if cell.trained == cell.runs else f"\n{cell.trained} of {cell.runs}"
    return f"${value}${share}"


def _map_footer(table):
    runs = int(table["runs"].max())
    peak = rf"$\mathrm{{max}}_{{t \geq {summary.EARLY}}} \;\beta_t \; \mathrm{{lr}} / 2$"
    words = [f"{peak};", "1: the plateau."]
    return words + [f"Mean over up to {runs} runs, of those that trained."] * (runs > 1)


def _map_handles(table):
    lost = table["trained"] == 0
    handles = []
    if lost.any():
        handles.append(canvas.patch_handle("does not train", UNTRAINED_COLOUR, **UNTRAINED))
    if (lost & (table["diverged"] > 0)).any():
        handles.append(curves.diverged_handle())
    return handles
