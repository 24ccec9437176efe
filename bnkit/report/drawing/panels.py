"""Grids of panels: rows and columns of quantities, conditions, layers and steps.

A figure says where its panels stand (`by_row`, `by_column`, `of_arms`); `draw` does the rest.
"""

import dataclasses
import math

import numpy as np

from bnkit.report import naming
from bnkit.report.drawing import canvas, lines, scales, style
from bnkit.report.drawing.tables import Quantity
from bnkit.report.statistics import arms

# More normalisations than this on top of each other hide each other's areas.
MOST_TOGETHER = 2
# More dots than this along an inch would hide their line.
DOTS_PER_INCH = 18
# Column that is drawn against -> label and scale of the x axis.
X_AXES = {
    "step": ("step", scales.steps),
    "number": ("layer", scales.layers),
    "step_size": ("step size $s$", scales.log_x),
    "lr": ("learning rate", scales.learning_rates),
    "rate": ("learning rate", scales.log_x),
}
Y_SCALES = {
    "linear": scales.linear,
    "percent": scales.percent,
    "log": scales.log,
    "symlog": scales.symlog,
}


@dataclasses.dataclass(frozen=True)
class Panel:
    """A panel with `quantity` in the rows where `where` (column -> value) holds."""

    quantity: Quantity
    where: dict
    title: str = ""

    def of(self, table):
        """Its rows of `table`, by those columns that `table` has."""
        for name, value in {**self.where, "quantity": self.quantity.column}.items():
            if name in table:
                table = table[table[name] == value]
        return table

    def levels(self, table, x):
        """The dashed lines in `table`: rows of its condition without a `norm`.

        Returns:
            `(heights, moving)`: a list of heights, of the rows that have no `x`; the others.
        """
        constant = [] if self.quantity.level is None else [self.quantity.level]
        alike = table[table["norm"].isna() & (table["condition"] == self.where["condition"])]
        if not len(alike):
            return constant, alike
        moves = alike[x].notna()
        return [*constant, *alike.loc[~moves, "value"]], alike[moves]


def places(frame, title, columns=()):
    """For every condition a list of places `(where, title)`: each combination of `columns` there.

    Args:
        frame: With `condition` and `columns`, whose order is that of the places.
        title: `title(**where)` is the title of a place.
        columns: Names of columns that tell the places of a condition apart.
    """
    columns = ["condition", *columns]
    found = frame[columns].drop_duplicates().sort_values(columns)
    return [
        [(where, title(**where)) for where in there.to_dict("records")]
        for _, there in found.groupby("condition", observed=True)
    ]


def of_conditions(frame):
    """`places`: one for each condition."""
    return places(frame, lambda condition: condition)


def of_steps(frame):
    """`places`: one for each step of a condition."""
    return places(frame, lambda condition, step: f"step {step:.0f}, {condition}", ["step"])


def of_layers(frame):
    """`places`: one for each layer of a condition, in their order."""

    def title(condition, number, layer):
        name = naming.literal(naming.shorten(str(layer), naming.LONGEST_LABEL))
        return f"{name} (layer {number}), {condition}"

    return places(frame, title, ["number", "layer"])


def by_row(quantities, groups):
    """Rows of panels: a row for every place, and a column for every quantity.

    One quantity alone fills the rows.
    """
    everywhere = [place for group in groups for place in group]
    if len(quantities) == 1:
        return wrapped([[Panel(quantities[0], *place) for place in everywhere]])
    first, *others = quantities
    return [
        [Panel(first, where, title), *(Panel(one, where) for one in others)]
        for where, title in everywhere
    ]


def by_column(quantities, groups):
    """Rows of panels: a row for every condition and quantity, and a column for every place."""
    first, *others = quantities
    rows = []
    for group in groups:
        rows.append([Panel(first, *place) for place in group])
        rows += [[Panel(one, where) for where, _ in group] for one in others]
    return rows


def of_arms(quantity, table):
    """Rows of panels: one for each condition, or, of more than `MOST_TOGETHER` arms, each arm."""
    groups = of_conditions(table)
    if len(arms.norms(table)) <= MOST_TOGETHER:
        return by_row([quantity], groups)
    rows = []
    for condition, there in table.groupby("condition", observed=True):
        norms = arms.norms(there)
        names = [naming.label(norm, naming.NARROW_LABEL) for norm in norms]
        titles = [f"{name}, {condition}" if condition else name for name in names]
        where = [{"condition": condition, "norm": norm} for norm in norms]
        rows.append([Panel(quantity, *one) for one in zip(where, titles, strict=True)])
    return wrapped(rows)


def wrapped(groups, most=3):
    """Rows of what is in `groups`, evenly filled with at most `most`; a group starts a new row."""
    longest = max([1, *map(len, groups)])
    width = math.ceil(longest / math.ceil(longest / most))
    return [
        group[start : start + width] for group in groups for start in range(0, len(group), width)
    ]


@style.context()
def draw(
    title,
    table,
    rows,
    footer,
    mark=lines.CURVES,
    x="step",
    records=None,
    verticals=None,
    message="No finite value has been recorded.",
):
    """The figure of `table`.

    Panels of a quantity have the same axes; where a row is of one layer, those of its layer have.

    Args:
        title: Of the figure.
        table: What is drawn: `condition, norm, x` and the columns of `mark`. Where there are
            several quantities their column's name is in `quantity`; rows without a `norm` are
            dashed lines, and their height is `value`: everywhere, or at their `x`.
        rows: Lists of `Panel`s.
        footer: Phrases for below the figure.
        mark: How a panel is drawn (`lines.Mark`).
        x: Column that is drawn against, one of `X_AXES`.
        records: With `condition` (`arms.with_condition`); over steps their runs that diverged end
            with a cross.
        verticals: Condition -> place of a dashed vertical line.
        message: What the figure says where there is no finite value.

    Returns:
        A matplotlib Figure.
    """
    measured = table[table["norm"].notna()]
    if not np.isfinite(measured[list(mark.columns)].astype(float)).any(axis=None):
        return canvas.message(title, message)
    rows = _padded(rows)
    shown = [panel for row in rows for panel in row]
    ends = [_ends(panel, records if x == "step" else None) for panel in shown]
    handles = _handles(measured, shown, mark, any(ends))
    # The more rows, the flatter they are.
    height = min(max(4.5 / len(rows), 1.2), 1.75)
    width = len(rows[0])
    page = canvas.Canvas(title, len(rows), width, footer, handles, height, share_y=_shared(rows))
    label, scale_x = X_AXES[x]
    most = DOTS_PER_INCH * page.figure.get_figwidth() / width
    layers = [_layer(row) for row in rows for _ in row]
    still = _without_what_leaves_at_the_top(table, x, mark.columns)
    for axes, panel, crosses, layer in zip(page.axes.flat, shown, ends, layers, strict=True):
        if panel is not None:
            page.name(axes, panel.title)
            here = panel.of(measured)
            mark.draw(axes, here, x, here[x].nunique() <= most)
            _mark_ends_and_levels(axes, panel, table, x, crosses, verticals or {})
            scale_x(axes, table[x])
            _y_axis(axes, panel.quantity, still, mark.columns, layer)
            _say_if_empty(axes, panel.quantity, here[list(mark.columns)])
    for line, row in zip(page.axes, rows, strict=True):
        _label(line, row)
    page.label_x(label)
    return page.figure


def _without_what_leaves_at_the_top(table, x, columns):
    """The rows that an axis is made for: 2/lr has no upper end where the rate falls to 0."""
    moves = table["norm"].isna() & table[x].notna()
    if not moves.any():
        return table
    highest = table.loc[~moves, list(columns)].max(axis=None)
    return table[~moves | (table["value"] <= highest)]


def _padded(rows):
    """Rows of the same length, with None where there is no panel."""
    width = max(map(len, rows))
    return [[*row, *[None] * (width - len(row))] for row in rows]


def _layer(row):
    """The layer that all panels of a row are of, or None."""
    layers = {panel.where.get("layer") for panel in row if panel}
    return layers.pop() if len(layers) == 1 else None


def _shared(rows):
    """Which y axes are the same: all, those along a row, those along a column, or none."""
    if any(_layer(row) is not None for row in rows):
        return False
    by_row = [{panel.quantity for panel in row if panel} for row in rows]
    if len(set.union(*by_row)) == 1:
        return True
    return "row" if all(len(quantities) == 1 for quantities in by_row) else "col"


def _ends(panel, records):
    """Step, value and colour of the ends of those runs of a panel that diverged."""
    if panel is None or records is None:
        return []
    quantity = panel.quantity
    is_log = quantity.scale_of(records[quantity.column]) == "log"
    ends = arms.ends(panel.of(records), quantity.column, is_log)
    return [
        ([step], [value], naming.colour(norm))
        for norm, step, value in zip(ends["norm"], ends["step"], ends[quantity.column], strict=True)
    ]


def _mark_ends_and_levels(axes, panel, table, x, crosses, verticals):
    for cross in crosses:
        lines.crosses(axes, *cross)
    heights, moving = panel.levels(table, x)
    for height in heights:
        axes.axhline(height, **canvas.DASHED)
    if len(moving):
        axes.plot(moving[x], moving["value"], **canvas.DASHED)
    if panel.where["condition"] in verticals:
        axes.axvline(verticals[panel.where["condition"]], **canvas.DASHED)


def _y_axis(axes, quantity, table, columns, layer):
    if "quantity" in table:
        table = table[table["quantity"] == quantity.column]
    scale = quantity.scale_of(table.loc[table["norm"].notna(), columns[0]])
    # A known range is the same for all layers.
    if layer is not None and not quantity.includes:
        table = table[table["layer"] == layer]
    values = table[list(columns)].to_numpy(dtype=float).ravel()
    if not np.isfinite(values).any():
        axes.set_yticks([])
        return
    level = [] if quantity.level is None else [quantity.level]
    Y_SCALES[scale](axes, np.concatenate([values, quantity.includes, level]))


def _say_if_empty(axes, quantity, values):
    if np.isfinite(values.astype(float)).any(axis=None):
        return
    text = "infinite" if np.isposinf(values.astype(float)).any(axis=None) else "no finite value"
    if not len(values):
        text = quantity.absent
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def _label(line, row):
    """The label of a y axis stands where it differs from that of the panel to its left."""
    left = None
    for axes, panel in zip(line, row, strict=True):
        if panel and panel.quantity != left:
            axes.set_ylabel(panel.quantity.label)
            left = panel.quantity


def _handles(table, shown, mark, diverged):
    handles = canvas.norm_handles(arms.norms(table))
    labels = dict.fromkeys(panel.quantity.level_label for panel in shown if panel)
    handles += [canvas.line_handle(label, **canvas.DASHED) for label in labels if label]
    if diverged:
        handles.append(lines.diverged_handle())
    return handles + mark.handles(table)
