"""How a signal propagates through the depth of a network (Brock 2021, Daneshmand 2020)."""

import matplotlib
import matplotlib.ticker
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, numbering, style
from bnkit.report.statistics import arms

QUANTITIES = {
    "squared_mean": "squared mean",
    "variance": "variance",
    "effective_rank": "effective rank",
    "rank": "rank",
}
MOMENTS = ("squared_mean", "variance")
TIMES = ("first", "last")
# With more layers than this, dots along a line hide it.
MOST_DOTS = 30


def signal_propagation_data(signal):
    """What `signal_propagation` draws: `time, step, quantity, number`, and that of `arms.curves`.

    `time` is "first" or "last", `number` counts layers from 1 and is what is drawn against.
    """
    table = numbering.with_layer_numbers(arms.with_condition(signal))
    tables = []
    for time, steps in zip(TIMES, _common_steps(table), strict=True):
        there = table[table["step"] == table["condition"].astype(object).map(steps)]
        for quantity in QUANTITIES:
            curve = arms.curves(there, quantity, ["step"], log=quantity in MOMENTS, x="number")
            tables.append(curve.assign(quantity=quantity, time=time))
    table = pandas.concat([one for one in tables if len(one)] or tables[:1], ignore_index=True)
    # One capture alone is not shown twice.
    return table.drop_duplicates(table.columns.difference(["time"]).tolist(), ignore_index=True)


def signal_propagation(signal):
    """Average squared channel mean and variance, and ranks, over the depth of the network.

    Args:
      signal: records of kind "signal_propagation", as from `load_runs`.

    Returns:
      A matplotlib Figure: for every condition a row for the first and for the last capture that all
      its runs have, with a panel for each quantity; the moments on logarithmic axes. The y axis is
      shared along a column.
    """
    title = "Propagation of the signal through the layers"
    with matplotlib.rc_context(style.RC):
        table = signal_propagation_data(signal)
        if not numpy.isfinite(table["value"]).any():
            return canvas.message(title, "No finite value has been recorded at a common step.")
        rows = table[["condition", "time", "step"]].drop_duplicates()
        rows = rows.sort_values(["condition", "time"])
        footer = [
            "Of the inputs $H$ of the non-linearities;",
            "squared mean and variance over the batch, mean over channels;",
            r"effective rank: $\mathrm{tr}(M)^2 \,/\, \|M\|_F^2$ with $M = H^T H$;",
            "rank: singular values of $H$ above 0.001 of the largest.",
        ]
        handles = canvas.norm_handles(arms.norms(table)) + lines.run_handles(table)
        page = canvas.Canvas(
            title, len(rows), len(QUANTITIES), footer, handles, height=1.35, share_y="col"
        )
        marked = table["number"].max() <= MOST_DOTS
        for panels, row in zip(page.axes, rows.itertuples(), strict=True):
            there = table[(table["condition"] == row.condition) & (table["time"] == row.time)]
            for axes, (quantity, label) in zip(panels, QUANTITIES.items(), strict=True):
                lines.draw(
                    axes,
                    there[there["quantity"] == quantity],
                    marker="o" if marked else None,
                    x="number",
                )
                axes.set_ylabel(label)
                axes.set_xlim(0.5, table["number"].max() + 0.5)
                axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
                _value_axis(axes, table.loc[table["quantity"] == quantity, "value"], quantity)
            page.name(panels[0], f"step {row.step:g}, {row.condition}")
        page.label_x("layer")
        return page.figure


def _common_steps(table):
    """For the first and the last time: condition -> step of a capture that all its runs have."""
    runs = table.groupby("condition", observed=True)["run"].transform("nunique")
    having = table.groupby(["condition", "step"], observed=True)["run"].transform("nunique")
    steps = table[having == runs].groupby("condition", observed=True)["step"]
    return steps.min(), steps.max()


def _value_axis(axes, values, quantity):
    if quantity in MOMENTS:
        canvas.value_axis(axes, [values], log=True)
    else:
        axes.set_ylim(0, 1.08 * max([1.0, *values[numpy.isfinite(values)]]))
