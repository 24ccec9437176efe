"""The numbers of layers, and which of them figures show."""

import numpy as np
import pandas as pd

# From this many layers on, figures show those that the paper does of its deep linear network.
DEEP = 17
# And from this many on, those at a third and at two thirds of the depth.
VERY_DEEP = 2 * DEEP


def with_numbers(frame):
    """A copy of `frame` with `number`: the layer's position in its record, from 1."""
    record = frame.groupby(["condition", "run", "step"], observed=True)["layer"]
    return frame.assign(number=record.transform(_order).astype(int))


def of_weights(count):
    """Numbers of the weight layers to show, of `count`: 5 and 10, or 9 and 17 (Fig 3), or thirds.

    With them the second, the first whose input can shift; of a small network the middle and last.
    """
    if count >= VERY_DEEP:
        return _thirds(count)
    if count >= DEEP:
        return {9, 17}
    return {2, 5, 10} if count >= 10 else {min(2, count), count // 2 + 1, count}


def of_activations(count):
    """Numbers of the layers whose output to show: 3 and 11, or 9 and 13 (Fig 2, 9), or thirds.

    Never the last one, which no non-linearity follows.
    """
    if count >= VERY_DEEP:
        return _thirds(count)
    return {min(one, max(count - 1, 1)) for one in ((9, 13) if count >= DEEP else (3, 11))}


def chosen(frame, rule):
    """The rows of the layers that `rule` chooses of each condition's, with their `number`."""
    frame = with_numbers(frame)
    counts = frame.groupby("condition", observed=True)["number"].transform("max")
    pairs = zip(frame["number"], counts, strict=True)
    return frame[np.array([number in rule(count) for number, count in pairs], dtype=bool)]


def _thirds(count):
    return {round(count / 3), round(2 * count / 3)}


def _order(names):
    return pd.factorize(names)[0] + 1
