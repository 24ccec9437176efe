"""The learning-rate envelope: the range of the loss over separately trained learning rates."""

import matplotlib
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, style
from bnkit.report.figures import learning_rates
from bnkit.report.figures.landscape import panels
from bnkit.report.statistics import arms

# How many learning rates a normalisation needs.
NEEDED = {"rates": 2}


def learning_rate_envelope_data(train):
    """What `learning_rate_envelope` draws: `condition, norm, step, low, high, rates, runs`.

    `low, high` are the extremes over the learning rates `rates` (a tuple) of the running mean of
    the loss; of its geometric mean over seeds where a learning rate has several, at most `runs`.
    """
    train = learning_rates.comparable(arms.with_condition(train, lr=False), **NEEDED)
    means = arms.curves(train, "loss", ["lr"], lines.WINDOW, log=True)
    means = means[means["series"] == "mean"]
    ends = _ends_of_diverged(train)
    tables = [
        _envelope(arm, ends[(ends["condition"] == condition) & (ends["norm"] == norm)])
        for (condition, norm), arm in means.groupby(["condition", "norm"], observed=True)
        if arm["lr"].nunique() >= NEEDED["rates"]
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
            handles.append(canvas.triangle_handle("a run diverged"))
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


def _ends_of_diverged(train):
    """`condition, norm, lr, step`: last finite loss of the first run to diverge, else -1."""
    diverged = train[train["status"] == "diverged"]
    finite = diverged.assign(step=diverged["step"].where(numpy.isfinite(diverged["loss"])))
    last = finite.groupby([*learning_rates.CELL, "run"], observed=True)["step"].max().fillna(-1)
    return last.groupby(learning_rates.CELL, observed=True).min().reset_index()


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
        f"Area: smallest to largest loss (running mean, {lines.WINDOW} steps)",
        "over separately trained runs;",
        *(["learning rates differ:"] if len(phrases) > 1 else []),
        *phrases,
        *([f"mean over up to {seeds} seeds each;"] if seeds > 1 else []),
        "not the landscape along the gradient.",
    ]
