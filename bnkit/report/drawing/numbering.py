"""The numbers of layers, and which of them figures show."""

import pandas

from bnkit.report.runs import ReportError


def layer_numbers(ics):
    """Number of every layer in forward order, from 1: the order of the lists in the records."""
    position = ics.groupby(["run", "step"]).cumcount() + 1
    return dict(zip(ics["layer"], position, strict=True))


def chosen_layers(numbers, layers=None):
    """Names of the layers to show, of those in `numbers`; arguments as for `covariate_shift`."""
    names = sorted(numbers, key=numbers.get)
    if layers is not None:
        unknown = [layer for layer in layers if layer not in numbers]
        if unknown:
            raise ReportError(f"layers {unknown} have not been measured; there are {names}")
        return list(layers)
    count = len(names)
    if count >= 17:
        chosen = (9, 17)
    elif count >= 10:
        chosen = (2, 5, 10)
    else:
        chosen = (2, count // 2 + 1, count)
    return [names[number - 1] for number in sorted(set(chosen)) if number <= count]


def with_layer_numbers(frame):
    """A copy of `frame` with `number`: the layer's position in its record, from 1."""
    record = frame.groupby(["condition", "run", "step"], observed=True)["layer"]
    return frame.assign(number=record.transform(_order).astype(int))


def _order(names):
    return pandas.factorize(names)[0] + 1
