"""Panels of curves over steps or layers: one per quantity and condition, all drawn alike."""

import dataclasses

import matplotlib
import matplotlib.ticker
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, numbering, style
from bnkit.report.statistics import arms


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A column of a frame, and how it is drawn.

    Attributes:
      column: its name in the frame.
      label: of the y axis (mathtext).
      log: whether it is averaged and drawn logarithmically. Where a finite value is not positive,
        the mean is arithmetic, and the axis logarithmic to both sides of 0. An axis that is not
        logarithmic becomes so, too, where the values are of very different size.
      limits: of the values, where they are known beforehand.
      level: height of a dashed line.
      level_label: its legend entry.
    """

    column: str
    label: str
    log: bool = True
    limits: tuple | None = None
    level: float | None = None
    level_label: str = ""

    def is_log(self, frame):
        """Whether the values in `frame` are averaged and drawn logarithmically."""
        values = frame[self.column]
        return self.log and bool((values[numpy.isfinite(values)] > 0).all())


@dataclasses.dataclass(frozen=True)
class Panel:
    """A panel with the curves of `quantity` in the rows where `where` (column -> value) holds."""

    quantity: Quantity
    where: dict
    title: str = ""

    def of(self, table):
        for name, value in self.where.items():
            table = table[table[name] == value]
        return table


def data(frame, quantities, keys=(), x="step"):
    """What is drawn of `quantities`: `quantity` (its column), and the columns of `arms.curves`.

    Args:
      frame: with `condition` (`arms.with_condition`), `norm, run, seed`, `x` and `keys`.
      quantities: the `Quantity`s to draw.
      keys, x: as for `arms.curves`.
    """
    tables = [
        arms.curves(frame, one.column, keys, log=one.is_log(frame), x=x).assign(quantity=one.column)
        for one in quantities
    ]
    return pandas.concat([one for one in tables if len(one)] or tables[:1], ignore_index=True)


def over_steps(title, frame, quantities, footer):
    """A column for every quantity and a row for every condition; one quantity fills the rows.

    Args:
      title: of the figure.
      frame: with `condition`, as for `data`.
      quantities: the `Quantity`s to draw.
      footer: phrases for below the figure.

    Returns:
      A matplotlib Figure; a run that diverged ends with a cross.
    """
    conditions = list(frame["condition"].cat.categories)
    if len(quantities) == 1:
        panels = [Panel(quantities[0], {"condition": one}, one) for one in conditions]
        columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
        panels += [None] * (-len(panels) % columns)
        rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
        return _draw(title, frame, rows, footer, share_y=True)
    rows = [_row(quantities, {"condition": one}, one) for one in conditions]
    return _draw(title, frame, rows, footer, share_y="col")


def of_layers(frame):
    """The rows of those layers that `over_steps_of_layers` shows."""
    shown = [
        rows[rows["layer"].isin(_layers(rows))]
        for _, rows in frame.groupby("condition", observed=True)
    ]
    return pandas.concat(shown) if shown else frame


def over_steps_of_layers(title, frame, quantities, footer):
    """As `over_steps`, for some layers of every condition (those of `covariate_shift`).

    Every condition and layer has a row; of one quantity the layers stand side by side.
    """
    rows = []
    for condition, there in frame.groupby("condition", observed=True):
        layers = []
        for layer, number in _layers(there).items():
            name = style.literal(style.shorten(str(layer), style.LONGEST_LABEL))
            where = {"condition": condition, "layer": layer}
            layers.append(_row(quantities, where, f"{name} (layer {number}), {condition}"))
        rows += layers if len(quantities) > 1 else [[panel for (panel,) in layers]]
    share_y = "col" if len(quantities) > 1 else True
    return _draw(title, of_layers(frame), rows, footer, share_y, ["layer"], height=1.2)


def at_ends(frame):
    """The rows of the first and the last step of every condition, with the layers' `number`.

    As in a mean over runs, an arm counts only at steps that all its runs have.
    """
    arm = ["condition", "norm"]
    runs = frame.groupby(arm, observed=True)["run"].transform("nunique")
    there = frame.groupby([*arm, "step"], observed=True)["run"].transform("nunique")
    frame = frame[there == runs]
    steps = frame.groupby("condition", observed=True)["step"]
    first, last = steps.transform("min"), steps.transform("max")
    return numbering.with_layer_numbers(frame[frame["step"].eq(first) | frame["step"].eq(last)])


def over_depth(title, frame, quantities, footer):
    """Against the layer number, in columns for the first and the last step of every condition.

    A row for every condition and quantity; arguments and result as for `over_steps`.
    """
    ends = at_ends(frame)
    rows = []
    for condition, there in ends.groupby("condition", observed=True):
        steps = sorted(there["step"].unique())
        for quantity in quantities:
            where = [{"condition": condition, "step": step} for step in steps]
            titles = [
                f"step {step:.0f}, {condition}" * (quantity is quantities[0]) for step in steps
            ]
            rows.append([Panel(quantity, *one) for one in zip(where, titles, strict=True)])
    return _draw(title, ends, rows, footer, keys=["step"], x="number", share_y="row")


def _row(quantities, where, title):
    first, *others = quantities
    return [Panel(first, where, title), *(Panel(one, where) for one in others)]


def _layers(frame):
    """Name -> number of the layers of one condition that are shown."""
    numbers = numbering.layer_numbers(frame)
    return {layer: numbers[layer] for layer in numbering.chosen_layers(numbers)}


def _draw(title, frame, rows, footer, share_y, keys=(), x="step", height=1.5):
    quantities = list(dict.fromkeys(panel.quantity for row in rows for panel in row if panel))
    with matplotlib.rc_context(style.RC):
        if not numpy.isfinite(frame[[one.column for one in quantities]]).any(axis=None):
            return canvas.message(title, "No finite value has been recorded.")
        table = data(frame, quantities, keys, x)
        width = max(map(len, rows))
        rows = [[*row, *[None] * (width - len(row))] for row in rows]
        panels = [panel for row in rows for panel in row]
        ends = [_diverged(panel, frame) if panel and x == "step" else () for panel in panels]
        handles = _handles(table, quantities, any(map(len, ends)))
        page = canvas.Canvas(
            title, len(rows), width, footer, handles, height=height, share_y=share_y
        )
        marked = table[x].nunique() <= lines.MOST_DOTS
        for axes, panel, end in zip(page.axes.flat, panels, ends, strict=True):
            if panel:
                page.name(axes, panel.title)
                _curves(axes, panel, table, x, "o" if marked else None)
                for row in end:
                    canvas.crosses(axes, *row)
                _axes(axes, panel.quantity, frame, table, x)
        for line, row in zip(page.axes, rows, strict=True):
            _label(line, row)
        page.label_x("step" if x == "step" else "layer")
        return page.figure


def _curves(axes, panel, table, x, marker):
    shown = panel.of(table[table["quantity"] == panel.quantity.column])
    lines.draw(axes, shown, marker, x)
    if panel.quantity.level is not None:
        axes.axhline(panel.quantity.level, **canvas.DASHED)
    if not numpy.isfinite(shown["value"]).any():
        text = "infinite" if numpy.isposinf(shown["value"]).any() else "no finite value"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def _diverged(panel, frame):
    """Step, value and colour of the ends of those runs of a panel that diverged."""
    column = panel.quantity.column
    ends = arms.ends(panel.of(frame), column, panel.quantity.is_log(frame))
    return [
        ([end.step], [getattr(end, column)], style.colour(end.norm)) for end in ends.itertuples()
    ]


def _axes(axes, quantity, frame, table, x):
    """Panels of a quantity have the same axes."""
    if x == "step":
        canvas.step_axis(axes, table["step"].max())
    else:
        _layer_axis(axes, int(table[x].max()))
    values = table.loc[table["quantity"] == quantity.column, "value"]
    if not numpy.isfinite(values).any():
        axes.set_yticks([])
        return
    level = [] if quantity.level is None else [quantity.level]
    values = numpy.concatenate([quantity.limits or values, level])
    log = quantity.is_log(frame)
    if log or not (quantity.log or canvas.are_wide(values)):
        canvas.value_axis(axes, [values], log)
    else:
        canvas.signed_axis(axes, values)


def _layer_axis(axes, count):
    axes.set_xlim(0.5, count + 0.5)
    axes.xaxis.set_major_locator(
        matplotlib.ticker.FixedLocator(range(1, count + 1, -(-count // 7)))
    )


def _label(line, row):
    """The label of a y axis stands where it differs from that of the panel to its left."""
    left = None
    for axes, panel in zip(line, row, strict=True):
        if panel and panel.quantity != left:
            axes.set_ylabel(panel.quantity.label)
            left = panel.quantity


def _handles(table, quantities, diverged):
    handles = canvas.norm_handles(arms.norms(table))
    handles += [
        canvas.line_handle(one.level_label, **canvas.DASHED)
        for one in quantities
        if one.level_label
    ]
    if diverged:
        handles.append(lines.diverged_handle())
    return handles + lines.run_handles(table)
