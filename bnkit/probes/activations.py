"""Distributions of the non-linearities' inputs, and how signals propagate (paper Figs 1c, 2, 8)."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bnkit.probes import replicas
from bnkit.probes.objective import read_variables
from bnkit.probes.pre_activations import pre_activations

QUANTILE_LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

# Edges of the histograms' bins, the same for all models: 0.1 apart at zero, growing to 1e6.
EDGES = 0.5 * np.sinh(np.linspace(-15.2, 15.2, 153))

# Singular values below this share of the largest do not count for the rank.
RANK_TOLERANCE = 1e-3


class Signal(NamedTuple):
    """How signals propagate, one value per layer; tensors `[layers]`, float64.

    H `[samples, units]` are the inputs of the layer's non-linearity, n samples, M = H'H / n.

    Attributes:
        layers: Names of the weight layers.
        squared_mean: Mean over the units of their squared mean (Brock et al. 2021, 2101.08692).
        variance: Mean over the units of their variance (ibid.).
        rank: Number of singular values of H above `RANK_TOLERANCE` of the largest. With a
            half-precision compute type, rounding may count.
        effective_rank: `tr(M)^2 / ||M||_F^2`, a lower bound of the rank of H (Daneshmand et al.
            2020, arXiv 2003.01652); 0 if all activations are 0.
    """

    layers: tuple[str, ...]
    squared_mean: tf.Tensor
    variance: tf.Tensor
    rank: tf.Tensor
    effective_rank: tf.Tensor


class Activations(NamedTuple):
    """What `activations` measures, one value per pair of a layer and a unit; tensors float64.

    Attributes:
        layers: Names of the weight layers, in forward order, one for each pair.
        units: Numbers of the units, likewise.
        mean: `[pairs]`, over samples (and height, width).
        variance: `[pairs]`, likewise, biased.
        quantiles: `[pairs, levels]` at `QUANTILE_LEVELS`, linear between samples.
        histogram: `[pairs, bins]`, int64, number of samples between the `EDGES`, lower edge
            included. The outermost bins also hold what lies beyond them; NaN is in none.
        signal: A `Signal`, of all units.
    """

    layers: tuple[str, ...]
    units: tuple[int, ...]
    mean: tf.Tensor
    variance: tf.Tensor
    quantiles: tf.Tensor
    histogram: tf.Tensor
    signal: Signal


def activations(model, batch, *, units=3, seed=0, weights=None, state=None, statistics="batch"):
    """Measures the inputs of the non-linearities after each weight layer, on one batch.

    They are taken after normalisation and noise; `pre_activations` says where exactly. Of the
    logits, and in linear networks, the outputs are taken. Units are the last axis; all other axes
    count as samples, without positions that Keras's mask takes out, such as padding. The units
    drawn depend only on the seed and the position of the layer, so that they stay the same while a
    model trains, and are the same for models of equal widths.

    Args:
        model, batch, weights, state, statistics: See `bnkit.probes`.
        units: Number of units to draw in each layer, without replacement; all if it has fewer.
        seed: An integer >= 0, or several, that draws the units.

    Returns:
        An `Activations`. Costs about a gradient: a forward pass, and sums in float64.

    Raises:
        ValueError: For fewer than one unit, or a model without a weight layer.
    """
    if not units >= 1:
        raise ValueError(f"`units` must be >= 1. Received: units={units!r}")
    weights, state = read_variables(model, weights, state)
    captured = pre_activations(model, weights, state, batch[0], statistics)
    layers, chosen, distributions, signals = [], [], [], []
    for position, (layer, values, mask) in enumerate(captured):
        values = _samples(values, mask)
        drawn = _draw(units, values.shape[-1], seed, position)
        mean, variance, signal = _moments(values)
        picked = [tf.gather(of_all, drawn) for of_all in (mean, variance)]
        columns = replicas.joined(tf.gather(values, drawn, axis=1))
        distributions.append((*picked, *_distribution(columns, len(drawn))))
        signals.append(signal)
        layers += [layer] * len(drawn)
        chosen += drawn
    fields = [tf.concat(parts, 0) for parts in zip(*distributions, strict=True)]
    names = tuple(layer for layer, *_ in captured)
    signal = Signal(names, *[tf.stack(values) for values in zip(*signals, strict=True)])
    return Activations(tuple(layers), tuple(chosen), *fields, signal)


def _samples(values, mask):
    """Rows of units, `[samples, units]`, of the positions that count."""
    rows = tf.reshape(values, [-1, values.shape[-1]])
    if mask is None:
        return rows
    # The mask of a sequence has no axis for what each of its steps holds.
    missing = len(values.shape) - 1 - len(mask.shape)
    mask = tf.reshape(mask, tf.concat([tf.shape(mask), [1] * missing], 0))
    mask = tf.broadcast_to(mask, tf.shape(values)[:-1])
    return tf.boolean_mask(rows, tf.reshape(mask, [-1]))


def _draw(count, units, seed, position):
    """Numbers of `count` units, or all, in ascending order."""
    generator = np.random.default_rng([*np.ravel(seed).tolist(), position])
    return sorted(generator.choice(units, min(count, units), replace=False).tolist())


def _moments(values):
    """Mean and variance `[units]` of `[samples, units]`, and the values of a `Signal`."""
    h = tf.cast(values, tf.float64)
    count = tf.cast(tf.shape(h)[0], tf.float64)
    count, total, gram = replicas.added_up(
        [count, tf.reduce_sum(h, 0), tf.linalg.matmul(h, h, transpose_a=True)]
    )
    mean = total / count
    gram /= count
    # In float64 the difference keeps what float32 activations have; below zero is rounding.
    variance = tf.maximum(tf.linalg.diag_part(gram) - tf.square(mean), 0)
    effective_rank = tf.math.divide_no_nan(
        tf.square(tf.linalg.trace(gram)), tf.reduce_sum(tf.square(gram))
    )
    signal = (
        tf.reduce_mean(tf.square(mean)),
        tf.reduce_mean(variance),
        _rank(gram),
        effective_rank,
    )
    return mean, variance, signal


def _rank(gram):
    """Number of singular values of H that count, from `H'H`; NaN if that is not finite."""
    is_finite = tf.reduce_all(tf.math.is_finite(gram))
    # The decomposition fails on values that are not finite.
    squares = tf.linalg.eigvalsh(tf.where(is_finite, gram, tf.zeros_like(gram)))
    counted = tf.reduce_sum(tf.cast(squares > RANK_TOLERANCE**2 * squares[-1], gram.dtype))
    return tf.where(is_finite, counted, np.float64("nan"))


def _distribution(columns, units):
    """Quantiles `[units, levels]` and counts `[units, bins]` of `[samples, units]`.

    In NumPy, which sorts ten times as fast as TensorFlow, and in one operation: TensorFlow's would
    be seventy, which take longer to compile than a hundred captures.
    """
    if columns.dtype != tf.float64:
        columns = tf.cast(columns, tf.float32)
    types = tf.float64, tf.int64
    quantiles, counts = tf.numpy_function(_distribution_in_numpy, [columns], types, stateful=False)
    return (
        tf.ensure_shape(quantiles, [units, len(QUANTILE_LEVELS)]),
        tf.ensure_shape(counts, [units, len(EDGES) - 1]),
    )


def _distribution_in_numpy(columns):
    # In their own type, which takes half the time; NaN comes last.
    ordered = [np.sort(column) for column in columns.T]
    edges = [-np.inf, *EDGES[1:-1], np.nan]
    below = np.stack([np.searchsorted(values, edges) for values in ordered])
    return np.stack([_quantiles(values) for values in ordered]), np.diff(below, axis=1)


def _quantiles(ordered):
    """Quantiles at `QUANTILE_LEVELS` of values in ascending order; NaN if there is none."""
    if not len(ordered) or np.isnan(ordered[-1]):
        return np.full(len(QUANTILE_LEVELS), np.nan)
    position = np.array(QUANTILE_LEVELS) * (len(ordered) - 1)
    low = position.astype(int)
    share = position - low
    return ordered[low] * (1 - share) + ordered[np.minimum(low + 1, len(ordered) - 1)] * share
