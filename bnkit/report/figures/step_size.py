"""Gradient distance and loss against the step size (Santurkar et al. 2018, Fig 11)."""

import matplotlib
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, style
from bnkit.report.figures.landscape import step_sizes
from bnkit.report.statistics import arms

QUANTITIES = {
    "gradient_distance": r"$\|\nabla L(\theta - s\,g) - g\|_2$",
    "loss_after_step": r"$L(\theta - s\,g)$",
}
TIMES = ("first", "middle", "last")


def distance_over_step_size_data(landscape):
    """What `distance_over_step_size` draws: `quantity, time, step`, and those of `arms.curves`.

    `time` is "first", "middle" or "last". A value that is not a number counts as infinite.
    """
    probed = arms.with_condition(landscape)
    tables = []
    for time, steps in zip(TIMES, _steps(probed), strict=True):
        there = probed[probed["step"] == probed["condition"].map(steps).astype(float)]
        for quantity in QUANTITIES:
            values = there.assign(value=there[quantity].astype(float).fillna(numpy.inf))
            curve = arms.curves(values, "value", ["step"], log=True, x="step_size")
            tables.append(curve.assign(quantity=quantity, time=time))
    table = pandas.concat([one for one in tables if len(one)] or tables[:1], ignore_index=True)
    # Of fewer than three probed steps none is shown twice.
    return table.drop_duplicates(table.columns.difference(["time"]).tolist(), ignore_index=True)


def distance_over_step_size(landscape):
    r"""`||grad L(theta - s g) - g||` and `L(theta - s g)` against s, at three probed steps.

    Args:
      landscape: records of kind "landscape", as from `load_runs`.

    Returns:
      A matplotlib Figure: for every condition a row of panels for each quantity, and a column for
      the first, a middle and the last probed step; both axes logarithmic, the y axis shared along a
      row. A dashed line is at `s = lr`, where the grid includes it.
    """
    title = "Change of the gradient, and loss, against the step size"
    with matplotlib.rc_context(style.RC):
        if not numpy.isfinite(landscape[list(QUANTITIES)]).any(axis=None):
            return canvas.message(title, "No finite value has been recorded.")
        table = distance_over_step_size_data(landscape)
        rates = arms.with_condition(landscape).groupby("condition", observed=True)["lr"].first()
        conditions = table["condition"].cat.categories
        rows = [(condition, quantity) for condition in conditions for quantity in QUANTITIES]
        low, high = landscape["step_size"].min(), landscape["step_size"].max()
        dashed = ["dashed: $s$ = lr;"] if rates.between(low, high).any() else []
        footer = [r"Both axes logarithmic;", *dashed, *step_sizes(landscape)]
        handles = canvas.norm_handles(arms.norms(table)) + lines.run_handles(table)
        times = [time for time in TIMES if time in set(table["time"])]
        page = canvas.Canvas(
            title, len(rows), len(times), footer, handles, height=1.35, share_y="row", wide=True
        )
        for panels, (condition, quantity) in zip(page.axes, rows, strict=True):
            row = table[(table["condition"] == condition) & (table["quantity"] == quantity)]
            for axes, time in zip(panels, times, strict=True):
                panel = row[row["time"] == time]
                if not len(panel):
                    continue
                lines.draw(axes, panel, marker="o", x="step_size")
                canvas.size_axis(axes, table["step_size"])
                canvas.value_axis(axes, [row["value"]], log=True)
                if low <= rates[condition] <= high:
                    axes.axvline(rates[condition], **canvas.DASHED)
                if quantity == rows[0][1]:
                    page.name(axes, f"step {panel['step'].iloc[0]:.0f}, {condition}")
            panels[0].set_ylabel(QUANTITIES[quantity])
        page.label_x("step size $s$")
        return page.figure


def _steps(probed):
    """For the first, a middle and the last time: condition -> probed step."""
    by_condition = probed.groupby("condition", observed=True)["step"]
    return (
        by_condition.min(),
        by_condition.agg(lambda steps: _nearest(steps, (steps.min() + steps.max()) / 2)),
        by_condition.max(),
    )


def _nearest(values, wanted):
    return values.iloc[(values - wanted).abs().argmin()]
