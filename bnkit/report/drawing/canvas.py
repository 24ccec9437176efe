"""A figure with equal panels, a title and legend above them, and its formula and grid below."""

import math
import re

import matplotlib.figure
import matplotlib.lines
import matplotlib.patches
import matplotlib.ticker
import numpy
import seaborn

from bnkit.report.drawing import style

COLUMN_WIDTH = 3.5
PAGE_WIDTH = 6.8
TITLE_HEIGHT = 0.2
LINE_HEIGHT = 0.165
MARGIN = 0.06
# Above the end of every axis: where an area without an upper end is drawn to.
BEYOND = 1e200
# Mean width of a character of 8 point DejaVu Sans, in inches.
CHARACTER = 0.0665
# Values are of very different size where the largest is this many times a small one.
WIDE = 100
# The most that an axis with both signs shows of each.
DECADES = 8
DASHED = {"color": style.INK, "linewidth": 0.9, "dashes": (4, 2)}


class Canvas:
    """Panels of one size in rows, with room for what stands above and below them.

    `axes[row, column]` are the panels; `share_x` and `share_y` are matplotlib's `sharex` and
    `sharey`. Everything has its place in inches, so that no label is clipped and figures of one
    report have the same proportions.
    """

    def __init__(
        self,
        title,
        rows,
        columns,
        footer,
        handles=(),
        height=1.75,
        share_x=True,
        share_y=True,
        wide=False,
    ):
        width = PAGE_WIDTH if wide or columns > 1 else COLUMN_WIDTH
        titles = wrap(title.split(), (width - 2 * MARGIN) / (CHARACTER * 1.2))
        notes = wrap(footer, (width - 2 * MARGIN) / CHARACTER)
        per_row = _legend_columns(handles, width)
        legend_rows = -(-len(handles) // per_row)
        top = MARGIN + TITLE_HEIGHT * len(titles) + 0.18 * legend_rows + 0.04
        bottom = MARGIN + LINE_HEIGHT * len(notes) + 0.03
        total = top + rows * (height + 0.42) + bottom
        self.figure = matplotlib.figure.Figure(figsize=(width, total), layout="constrained")
        left = MARGIN / width
        self.figure.get_layout_engine().set(
            rect=(0, bottom / total, 1 - left, 1 - (top + bottom) / total), w_pad=0.05, h_pad=0.04
        )
        self.figure.text(
            left, 1 - MARGIN / total, "\n".join(titles), va="top", weight="bold", size=9
        )
        self.figure.text(
            left,
            MARGIN / total,
            "\n".join(notes),
            va="bottom",
            size=8,
            color=style.QUIET,
            linespacing=1.4,
        )
        if handles:
            self.figure.legend(
                handles=list(handles),
                loc="upper left",
                bbox_to_anchor=(left / 2, 1 - (MARGIN + TITLE_HEIGHT * len(titles)) / total),
                ncols=per_row,
                frameon=False,
                borderpad=0.2,
                borderaxespad=0.1,
                handlelength=1.5,
                columnspacing=1.2,
                labelspacing=0.3,
            )
        self.axes = self.figure.subplots(
            rows, columns, sharex=share_x, sharey=share_y, squeeze=False
        )
        for axes in self.axes.flat:
            seaborn.despine(ax=axes)

    def name(self, axes, title):
        """Title of one panel, in as many lines as it needs."""
        room = self.figure.get_figwidth() / self.axes.shape[1] - 0.5
        axes.set_title("\n".join(wrap(title.split(), room / CHARACTER)), loc="left")

    def label_x(self, text):
        """Label the x axis of the lowest panel of every column; panels without data go."""
        for column in self.axes.T:
            used = [axes for axes in column if axes.has_data()]
            for axes in set(column) - set(used):
                axes.set_axis_off()
            for axes in used[-1:]:
                axes.xaxis.set_tick_params(labelbottom=True)
                axes.set_xlabel(text)


def message(title, text):
    """A figure that says why there is nothing to see."""
    canvas = Canvas(title, 1, 1, [], height=0.9)
    axes = canvas.axes[0, 0]
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True)
    return canvas.figure


def line(axes, steps, values, **look):
    """A line: a gap where a value is not finite, an arrow at the top where it is infinite."""
    steps, values = numpy.asarray(steps, dtype=float), numpy.asarray(values, dtype=float)
    finite = numpy.isfinite(values)
    breaks = numpy.flatnonzero(numpy.diff(finite)) + 1
    for stretch in numpy.split(numpy.arange(len(steps)), breaks):
        if finite[stretch].any():
            axes.plot(steps[stretch], values[stretch], **look)
    arrows(axes, steps[numpy.isposinf(values)], look["color"])


def band(axes, steps, low, high, colour, **look):
    """The area from `low` to `high`; where it has no upper end it leaves the panel at the top."""
    low, high = numpy.asarray(low, dtype=float), numpy.asarray(high, dtype=float)
    steps = numpy.asarray(steps, dtype=float)
    ends = numpy.clip([low, high], None, BEYOND)
    axes.fill_between(steps, *ends, color=colour, **look)
    arrows(axes, steps[numpy.isposinf(high)], colour)


def arrows(axes, steps, colour):
    """Triangles at the top of the panel: the value is infinite there."""
    if len(steps):
        axes.plot(
            steps,
            numpy.full(len(steps), 0.98),
            transform=axes.get_xaxis_transform(),
            linestyle="none",
            marker="^",
            markersize=4,
            color=colour,
            clip_on=False,
        )


def crosses(axes, steps, values, colour):
    """Where a run diverged."""
    axes.scatter(
        steps,
        values,
        marker="X",
        s=34,
        color=colour,
        clip_on=False,
        edgecolor=style.INK,
        linewidth=0.6,
        zorder=5,
    )


def step_axis(axes, last):
    """From step 0, which is always labelled, to the last step."""
    axes.set_xlim(0, max(float(last), 1.0))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(nbins=5, integer=True))


def value_axis(axes, values, log):
    """Limits around the finite values of what is drawn (positive ones on a logarithmic axis)."""
    values = numpy.concatenate([numpy.ravel(numpy.asarray(one, dtype=float)) for one in values])
    values = values[numpy.isfinite(values) & ((values > 0) | (not log))]
    if not len(values):
        return
    low, high = float(values.min()), float(values.max())
    if log:
        # A flat curve would get an axis without a single round number on it.
        low = min(low, high / 1.5)
        room = max(1.12, (high / low) ** 0.04)
        axes.set_yscale("log")
        axes.set_ylim(low / room, high * room)
        _label_log(axes.yaxis, most=7)
        return
    room = 0.05 * (high - low) or 0.5
    axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(_tick))


def are_wide(values):
    """Whether the largest of the finite values, of any sign, makes small ones look like 0."""
    sizes = numpy.abs(values[numpy.isfinite(values) & (values != 0)])
    return len(sizes) > 0 and sizes.max() >= WIDE * numpy.quantile(sizes, 0.1)


def signed_axis(axes, values):
    """Limits around the finite `values`, of any sign: logarithmic to both sides of 0.

    Next to 0 it is linear: below all but the smallest tenth of them, or after `DECADES`.
    """
    values = values[numpy.isfinite(values)]
    sizes = numpy.abs(values[values != 0])
    if not len(sizes):
        value_axis(axes, [values], log=False)
        return
    top = math.floor(math.log10(sizes.max()))
    bottom = max(math.floor(math.log10(numpy.quantile(sizes, 0.1))), top - DECADES)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    decades = (top - bottom + 1) * (int(low < 0) + int(high > 0))
    # However small a decade is, the label of 0 needs some room.
    axes.set_yscale("symlog", linthresh=10.0**bottom, linscale=max(0.6, decades / 10))
    room = 0.2 * 10.0**bottom
    axes.set_ylim(1.3 * low - room, 1.3 * high + room)
    # About six labels, and 0.
    powers = 10.0 ** numpy.arange(top, bottom - 1, -math.ceil(decades / 6))
    axes.yaxis.set_major_locator(matplotlib.ticker.FixedLocator([*-powers, 0.0, *powers]))
    axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(_tick))


def size_axis(axes, sizes):
    """Logarithmic, from the smallest to the largest step size."""
    low, high = float(sizes.min()), float(sizes.max())
    axes.set_xscale("log")
    # One size alone needs room around it.
    axes.set_xlim((low, high) if low < high else (low / 2, high * 2))
    _label_log(axes.xaxis, most=5)


def _label_log(axis, most):
    """At most about `most` labels at round numbers."""
    low, high = axis.get_view_interval()
    decades = numpy.log10(high / low)
    # Ticks between the labels are for axes with every decade labelled; else they only cost time.
    if not 2.6 <= decades < most - 1:
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    multiples = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.6 else (1,)
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=multiples, numticks=most))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(_tick))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def wrap(words, limit):
    """`words` (mathtext in one piece) joined to lines of about `limit` characters."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _length(longer) > limit:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _length(text):
    """Characters that are seen: a TeX command is one, braces and subscript marks are none."""
    return len(re.sub(r"[{}$^_]|\\[,;! ]", "", re.sub(r"\\[a-zA-Z]+ ?", "x", text)))


def _legend_columns(handles, width):
    if not handles:
        return 1
    widths = [0.42 + CHARACTER * _length(handle.get_label()) for handle in handles]
    for columns in range(len(handles), 1, -1):
        # matplotlib fills a legend column by column, the first ones with one entry more.
        rows, longer = divmod(len(handles), columns)
        heights = [rows + (column < longer) for column in range(columns)]
        starts = [sum(heights[:column]) for column in range(columns)]
        taken = sum(max(widths[a : a + n]) for a, n in zip(starts, heights, strict=True))
        if taken <= width - 2 * MARGIN:
            return columns
    return 1


def number(value):
    """A number in mathtext, without the dollar signs; very large and small ones with a power."""
    if not value or 1e-3 <= abs(value) < 1e4:
        return f"{value:g}"
    factor, exponent = f"{value:.3e}".split("e")
    power = f"10^{{{int(exponent)}}}"
    if abs(float(factor)) == 1:
        return power if value > 0 else f"-{power}"
    return rf"{float(factor):g}\!\cdot\!{power}"


def _tick(value, _):
    text = number(value)
    return f"${text}$" if "^" in text else text


def line_handle(label, **look):
    """Legend entry of a line."""
    return matplotlib.lines.Line2D([], [], label=label, **look)


def triangle_handle(label):
    look = {"color": style.QUIET, "marker": "^", "markersize": 4, "linestyle": "none"}
    return line_handle(label, **look)


def patch_handle(label, colour, **look):
    """Legend entry of an area."""
    return matplotlib.patches.Patch(facecolor=colour, label=label, **look)


def norm_handles(norms):
    """Legend entries of the normalisations."""
    return [line_handle(style.label(norm), color=style.colour(norm), linewidth=2) for norm in norms]
