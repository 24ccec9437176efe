"""A figure with equal panels, a title and legend above them, and its formula and grid below."""

import re

import matplotlib.figure
import matplotlib.lines
import matplotlib.patches
import seaborn

from bnkit.report import naming
from bnkit.report.drawing import style

COLUMN_WIDTH = 3.5
PAGE_WIDTH = 6.8
TITLE_HEIGHT = 0.2
LINE_HEIGHT = 0.165
MARGIN = 0.06
# Mean width of a character of 8 point DejaVu Sans, in inches.
CHARACTER = 0.0665
# Id of a figure's title, for a page that gives it itself.
TITLE = "title"
DASHED = {"color": style.INK, "linewidth": 0.9, "dashes": (4, 2)}
TRIANGLE = {"marker": "^", "markersize": 4, "linestyle": "none"}


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
            left, 1 - MARGIN / total, "\n".join(titles), va="top", weight="bold", size=9, gid=TITLE
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


@style.context()
def message(title, text):
    """A figure that says why there is nothing to see."""
    canvas = Canvas(title, 1, 1, [], height=0.9)
    axes = canvas.axes[0, 0]
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True)
    return canvas.figure


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


def line_handle(label, **look):
    """Legend entry of a line."""
    return matplotlib.lines.Line2D([], [], label=label, **look)


def triangle_handle(label):
    """Legend entry of the triangles that stand for infinite values."""
    return line_handle(label, color=style.QUIET, **TRIANGLE)


def patch_handle(label, colour, **look):
    """Legend entry of an area."""
    return matplotlib.patches.Patch(facecolor=colour, label=label, **look)


def norm_handles(norms):
    """Legend entries of the normalisations."""
    return [
        line_handle(naming.label(norm), color=naming.colour(norm), linewidth=2) for norm in norms
    ]
