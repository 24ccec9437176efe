"""The landscape along the gradient, or any direction (Santurkar et al. 2018, Fig 4 and 10)."""

import dataclasses

import matplotlib
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, style
from bnkit.report.statistics import arms

# More normalisations than this on top of each other hide each other: each gets its own panel.
MOST_TOGETHER = 2
LOG_FROM = 10
# Characters of a normalisation's name that the title of a narrow panel has room for.
TITLE_LABEL = 20


@dataclasses.dataclass(frozen=True)
class Direction:
    """What the records were measured along: in words, its symbol in formulas, and its definition.

    Attributes:
      has_plateau: whether gradient descent settles where the smoothness in this direction is 2/lr.
    """

    words: str
    symbol: str
    definition: str = ""
    has_plateau: bool = False

    @property
    def change(self):
        """The change of the gradient, in mathtext without the dollar signs."""
        return rf"\|\nabla L(\theta - s\,{self.symbol}) - g\|_2"


GRADIENT = Direction("the gradient", "g", has_plateau=True)
RANDOM = Direction("random directions", "d", r"$d$: Gaussian, with $\|d\|_2 = \|g\|_2$;")


def loss_band_data(landscape):
    """What `loss_band` draws: `condition, norm, step, low, high, loss, runs` (`arms.bands`)."""
    return arms.bands(arms.with_condition(landscape), "loss_after_step", "loss")


def loss_band(landscape, direction=GRADIENT):
    r"""Range of the loss along a direction, `L(theta - s g)` over s, at every probed step.

    Args:
      landscape: records of kind "landscape", as from `load_runs`, or of kind "random_landscape":
        then the range is over s and over the directions of a step.
      direction: what `landscape` was measured along.

    Returns:
      A matplotlib Figure: filled from the smallest to the largest loss, with a line at `L(theta)`;
      the y axis is logarithmic and shared.
    """
    return _bands(
        f"Range of the loss along {direction.words}",
        landscape,
        loss_band_data(landscape),
        "loss",
        [
            rf"Area: smallest to largest $L(\theta - s\,{direction.symbol})$,",
            r"line: $L(\theta)$;",
            *_definition(landscape, direction),
        ],
        line="loss",
    )


def gradient_predictiveness_data(landscape):
    """What `gradient_predictiveness` draws: `condition, norm, step, low, high, runs`."""
    return arms.bands(arms.with_condition(landscape), "gradient_distance")


def gradient_predictiveness(landscape, direction=GRADIENT):
    r"""Range of `||grad L(theta - s g) - g||` over s, at every probed step.

    Args and result as for `loss_band`.
    """
    along = "itself" if direction == GRADIENT else direction.words
    return _bands(
        f"Change of the gradient along {along}",
        landscape,
        gradient_predictiveness_data(landscape),
        r"$\ell_2$ distance of gradients",
        ["Area: smallest to largest", f"${direction.change}$;", *_definition(landscape, direction)],
    )


def smoothness_data(landscape, direction=GRADIENT):
    """What `smoothness` draws: the columns of `arms.curves`, and a row of series "2/lr" per lr.

    The smoothness of a step is that of `arms.largest_smoothness`. The plateau is that of plain
    gradient descent: with momentum or another optimizer there is no such row.
    """
    conditions = arms.with_condition(landscape)
    values = arms.largest_smoothness(conditions)
    table = arms.curves(values, "smoothness", log=_spans(values["smoothness"]))
    if not direction.has_plateau:
        return table
    plain = pandas.Series(True, index=conditions.index)
    for setting, value in (("optimizer", "sgd"), ("momentum", 0.0)):
        if setting in conditions:
            plain &= conditions[setting].isna() | (conditions[setting] == value)
    levels = conditions[plain][["condition", "lr"]].drop_duplicates()
    levels = pandas.DataFrame(
        {"condition": levels["condition"], "series": "2/lr", "value": 2 / levels["lr"]}
    )
    if not len(levels):
        return table
    return pandas.concat([table, levels.reindex(columns=table.columns)], ignore_index=True)


def smoothness(landscape, direction=GRADIENT):
    r"""Effective beta-smoothness; along the gradient with the plateau `2 / lr` as a dashed line.

    Args:
      landscape, direction: as for `loss_band`.

    Returns:
      A matplotlib Figure; the y axis is logarithmic where values span a factor of ten or more.
    """
    title = rf"Effective $\beta$-smoothness along {direction.words}"
    with matplotlib.rc_context(style.RC):
        table = smoothness_data(landscape, direction)
        measured = table[table["series"] != "2/lr"]
        if not numpy.isfinite(measured["value"]).any():
            return canvas.message(title, "No finite smoothness has been recorded.")
        diverged = _diverged(landscape, "smoothness")
        handles = _handles(measured, diverged)
        plateaus = [
            f"${canvas.number(one)}$"
            for one in table.loc[table["series"] == "2/lr", "value"].unique()
        ]
        if plateaus:
            handles.append(canvas.line_handle(f"2/lr = {', '.join(plateaus)}", **canvas.DASHED))
        handles += lines.run_handles(measured)
        over = "s" if direction == GRADIENT else "s,d"
        footer = [
            rf"$\mathrm{{max}}_{{{over}}} \;{direction.change}"
            rf" \,/\, (s\,\|{direction.symbol}\|_2)$;",
            *_definition(landscape, direction),
            *step_sizes(landscape),
        ]
        shown = panels(measured)
        page = canvas.Canvas(title, *shown.shape, footer, handles)
        for axes, panel in zip(page.axes.flat, shown.flat, strict=True):
            if not panel:
                continue
            lines.draw(axes, panel.of(measured))
            levels = table[(table["series"] == "2/lr") & (table["condition"] == panel.condition)]
            for level in levels["value"]:
                axes.axhline(level, **canvas.DASHED)
            _crosses(axes, panel.of(diverged), "smoothness")
            _finish(page, axes, panel, table, [table["value"]], _spans(measured["value"]))
        for axes in page.axes[:, 0]:
            axes.set_ylabel(r"effective $\beta$")
        page.label_x("step")
        return page.figure


def step_sizes(landscape):
    """The grid that was measured on, in words for below the figure (one phrase per grid)."""
    grids = landscape.groupby("run")["step_size"].unique().map(sorted).map(tuple).unique()
    phrases = []
    for grid in grids:
        shown = canvas.number(grid[0])
        if len(grid) > 1:
            shown = rf"{shown}, \ldots, {canvas.number(grid[-1])}"
        points = "1 point" if len(grid) == 1 else f"{len(grid)} points"
        phrases.append(rf"$s \in \{{{shown}\}}$, {points}.")
    if len(grids) > 1:
        return ["step sizes differ between runs:", *phrases]
    return phrases


@dataclasses.dataclass(frozen=True)
class Panel:
    """The normalisations that share a panel, under one condition."""

    condition: str
    norms: list
    alone: bool

    @property
    def title(self):
        if not self.alone:
            return self.condition
        label = style.label(self.norms[0], TITLE_LABEL)
        return f"{label}, {self.condition}" if self.condition else label

    def of(self, table):
        return table[(table["condition"] == self.condition) & table["norm"].isin(self.norms)]


def panels(table):
    """The panels as an array, None where one stays empty; a condition starts a row of its own."""
    conditions, norms = list(table["condition"].cat.categories), arms.norms(table)
    if len(norms) <= MOST_TOGETHER:
        shown = [Panel(condition, norms, False) for condition in conditions]
        columns = {1: 1, 2: 2, 4: 2}.get(len(shown), 3)
    else:
        columns = 2 if len(norms) == 4 else 3
        shown = []
        for condition in conditions:
            there = arms.norms(table[table["condition"] == condition])
            shown += [Panel(condition, [norm], True) for norm in there]
            shown += [None] * (-len(there) % columns)
    shown += [None] * (-len(shown) % columns)
    return numpy.array(shown, dtype=object).reshape(-1, columns)


def _definition(landscape, direction):
    """What d is, and over how many of them at a step the extremes are taken."""
    if direction == GRADIENT:
        return []
    most = landscape.groupby(["run", "step"])["direction"].nunique().max()
    return [direction.definition, f"{most:g} at each step;"]


def _bands(title, landscape, table, label, formula, line=None):
    with matplotlib.rc_context(style.RC):
        if not numpy.isfinite(table[["low", "high"]]).any(axis=None):
            return canvas.message(title, "No finite value has been recorded.")
        value = line or "gradient_distance"
        diverged = _diverged(landscape, value)
        footer = [*formula, *step_sizes(landscape)]
        if table["runs"].max() > 1:
            footer.append(f"Means over {table['runs'].max()} runs.")
        shown = panels(table)
        page = canvas.Canvas(title, *shown.shape, footer, _handles(table, diverged))
        for axes, panel in zip(page.axes.flat, shown.flat, strict=True):
            if not panel:
                continue
            for norm, arm in panel.of(table).groupby("norm"):
                colour = style.colour(norm)
                canvas.band(
                    axes, arm["step"], arm["low"], arm["high"], colour, alpha=0.3, linewidth=0
                )
                edge = {"color": colour, "linewidth": 0.6, "alpha": 0.8}
                canvas.line(axes, arm["step"], arm["low"], **edge)
                canvas.line(axes, arm["step"], arm["high"], **edge)
                if line:
                    canvas.line(axes, arm["step"], arm[line], color=colour, linewidth=1.3)
            _crosses(axes, panel.of(diverged), value)
            drawn = [table[name] for name in ("low", "high", line) if name]
            _finish(page, axes, panel, table, drawn, log=True)
        for axes in page.axes[:, 0]:
            axes.set_ylabel(label)
        page.label_x("step")
        return page.figure


def _finish(page, axes, panel, table, drawn, log):
    page.name(axes, panel.title)
    canvas.step_axis(axes, table["step"].max())
    canvas.value_axis(axes, drawn, log)


def _spans(values):
    values = values[numpy.isfinite(values) & (values > 0)]
    return len(values) > 0 and values.max() >= LOG_FROM * values.min()


def _handles(table, diverged):
    handles = canvas.norm_handles(arms.norms(table))
    if len(diverged):
        handles.append(lines.diverged_handle())
    return handles


def _diverged(landscape, value):
    return arms.ends(arms.with_condition(landscape), value, log=True)


def _crosses(axes, diverged, value):
    for end in diverged.itertuples():
        canvas.crosses(axes, [end.step], [getattr(end, value)], style.colour(end.norm))
