"""The axes of panels: limits, scales, and ticks at round numbers."""

import math

import matplotlib.ticker
import numpy as np

# Values are of very different size where the largest is this many times a small one.
WIDE = 100
# The most that an axis with both signs shows of each.
DECADES = 8
# Inches from the middle of a learning rate's label to that of the next.
LABEL_ROOM = 0.42


def steps(axes, values):
    """An x axis from step 0 to the last step, with ticks there and at round steps in between."""
    ticks = round_ticks(max(int(values.max()), 1))
    axes.set_xlim(0, max(ticks[-1], float(values.max())))
    axes.xaxis.set_major_locator(matplotlib.ticker.FixedLocator(ticks))


def round_ticks(last, most=5):
    """Ticks from 0 to `last`, at round numbers but for the last one.

    A last step right before a round one counts as that: the last of 500 steps is number 499.

    >>> round_ticks(499), round_ticks(375)
    ([0, 100, 200, 300, 400, 500], [0, 100, 200, 300, 375])
    """
    exponent = 10 ** max(len(str(last)) - 2, 0)
    units = [factor * exponent for factor in (1, 2, 5, 10, 20, 50)]
    unit = next(unit for unit in units if last <= most * unit)
    if -last % unit <= 0.02 * last:
        last += -last % unit
    return [*range(0, last - unit // 2, unit), last] if last > unit else [0, last]


def layers(axes, values):
    """An x axis of the numbers of layers."""
    count = int(values.max())
    axes.set_xlim(0.5, count + 0.5)
    ticks = range(1, count + 1, -(-count // 7))
    axes.xaxis.set_major_locator(matplotlib.ticker.FixedLocator(ticks))


def log_x(axes, values):
    """A logarithmic x axis from the smallest to the largest value."""
    low, high = float(values.min()), float(values.max())
    axes.set_xscale("log")
    # One value alone needs room around it.
    axes.set_xlim((low, high) if low < high else (low / 2, high * 2))
    _label_log(axes.xaxis, most=5)


def learning_rates(axes, values):
    """A logarithmic x axis with a tick at every learning rate, and labels where there is room."""
    rates = np.unique(values.dropna())
    room = (rates[-1] / rates[0]) ** 0.06
    axes.set_xscale("log")
    axes.set_xlim(rates[0] / room, rates[-1] * room)
    width = axes.figure.get_figwidth() / axes.get_gridspec().ncols - 0.7
    nearest = (np.log(rates[-1] / rates[0]) * 1.12) * LABEL_ROOM / width
    labelled = [rates[-1]]
    for rate in rates[-2::-1]:
        if np.log(labelled[-1] / rate) >= nearest:
            labelled.append(rate)
    axes.set_xticks(rates, [f"${number(rate)}$" if rate in labelled else "" for rate in rates])
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())


def linear(axes, values):
    """A y axis with limits around the finite values."""
    values = values[np.isfinite(values)]
    if len(values):
        low, high = float(values.min()), float(values.max())
        room = 0.05 * (high - low) or 0.5
        axes.set_ylim(low - room, high + room)
        axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(_tick))


def percent(axes, values):
    """A y axis from 0 to 100 %, whatever the values."""
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))


def log(axes, values):
    """A logarithmic y axis with limits around the finite positive values."""
    values = values[np.isfinite(values) & (values > 0)]
    if len(values):
        low, high = float(values.min()), float(values.max())
        # A flat curve would get an axis without a single round number on it.
        low = min(low, high / 1.5)
        room = max(1.12, (high / low) ** 0.04)
        axes.set_yscale("log")
        axes.set_ylim(low / room, high * room)
        _label_log(axes.yaxis, most=7)


def symlog(axes, values):
    """A y axis around the finite values, of any sign, that is logarithmic to both sides of 0.

    Next to 0 it is linear: below all but the smallest tenth of them, or after `DECADES`.
    """
    values = values[np.isfinite(values)]
    sizes = np.abs(values[values != 0])
    if not len(sizes):
        linear(axes, values)
        return
    top = math.floor(math.log10(sizes.max()))
    bottom = max(math.floor(math.log10(np.quantile(sizes, 0.1))), top - DECADES)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    decades = (top - bottom + 1) * (int(low < 0) + int(high > 0))
    # However small a decade is, the label of 0 needs some room.
    axes.set_yscale("symlog", linthresh=10.0**bottom, linscale=max(0.6, decades / 10))
    room = 0.2 * 10.0**bottom
    axes.set_ylim(1.3 * low - room, 1.3 * high + room)
    # About six labels, and 0.
    powers = 10.0 ** np.arange(top, bottom - 1, -math.ceil(decades / 6))
    axes.yaxis.set_major_locator(matplotlib.ticker.FixedLocator([*-powers, 0.0, *powers]))
    axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(_tick))


def are_wide(values):
    """Whether the largest of the finite values, of any sign, makes small ones look like 0."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return len(sizes) > 0 and sizes.max() >= WIDE * np.quantile(sizes, 0.1)


def number(value):
    """A number in mathtext, without the dollar signs; very large and small ones with a power."""
    if not value or 1e-3 <= abs(value) < 1e4:
        return f"{value:g}"
    factor, exponent = f"{value:.3e}".split("e")
    power = f"10^{{{int(exponent)}}}"
    if abs(float(factor)) == 1:
        return power if value > 0 else f"-{power}"
    return rf"{float(factor):g}\!\cdot\!{power}"


def _label_log(axis, most):
    """At most about `most` labels at round numbers."""
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    # Ticks between the labels are for axes with every decade labelled; else they only cost time.
    if not 2.6 <= decades < most - 1:
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    multiples = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.6 else (1,)
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=multiples, numticks=most))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(_tick))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def _tick(value, _):
    text = number(value)
    return f"${text}$" if "^" in text else text
