"""Statistics of the training data at the current weights, for inference."""

import itertools

import tensorflow as tf

from bnkit.probes import replicas
from bnkit.probes.objective import call_at, read_variables


def population_state(model, batches, *, weights=None, state=None, known=None):
    """The model's state with its moving statistics measured anew, at the current weights.

    Each moving statistic is replaced by the average of the batches' own statistics: moving averages
    lag behind the weights (Wu and Johnson 2021, arXiv 2105.07576). For a variance, that is the
    average of the variances within the batches, which is also what moving variances average.

    It works for layers that it knows nothing of. A moving statistic is a floating variable that a
    training call updates as `moving' = m * moving + (1 - m) * batch`, with the same 0 <= m < 1 for
    all of its entries, in operations that can be differentiated. The derivative is m, and an update
    from `moving = 0` gives the statistic of the batch, with a relative error of `2^-24 / (1 - m)`.
    In training mode no output may depend on it. All other state, such as that of random layers,
    stays as given.

    Args:
        batches: The inputs x of training batches: an iterable, or a tensor
            `[batches, samples, ...]`, which a graph goes through in a loop.
        model, weights, state: See `bnkit.probes`.
        known: What `momenta` gives for the model, where that is known already.

    Returns:
        List of tensors aligned with `model.non_trainable_variables`. Inside `strategy.run`,
        where each replica has its share of every batch, the average is also over the replicas.
        Costs one forward pass for each batch, and one more if it runs eagerly.

    Raises:
        ValueError: If there are no batches.

    >>> norm = keras.layers.BatchNormalization(momentum=0.5)
    >>> model = keras.Sequential([keras.Input((1,)), norm])
    >>> [s.numpy() for s in population_state(model, [np.array([[1.0], [5.0]], "float32")])]
    [array([3.], dtype=float32), array([4.], dtype=float32)]
    """
    weights, state = read_variables(model, weights, state)
    first, batches = _peek(batches)
    found = momenta(model, first, weights=weights, state=state) if known is None else known
    if not found:
        return state
    start = list(state)
    for position, m in found.items():
        # Started at 0 there is no cancellation. Values with m = 0 or NaN start as they are.
        start[position] = tf.where(m > 0, tf.zeros_like(m), state[position])

    def statistics(x):
        _, updated = call_at(model, weights, start, x)
        return tuple(updated[position] / (1 - m) for position, m in found.items())

    if tf.is_tensor(batches):
        dtypes = tuple(m.dtype for m in found.values())
        measured = replicas.in_turn(statistics, batches, dtypes)
    else:
        measured = [tf.stack(values) for values in zip(*map(statistics, batches), strict=True)]
    averages = replicas.averaged([tf.reduce_mean(values, 0) for values in measured])
    for (position, m), average in zip(found.items(), averages, strict=True):
        state[position] = tf.where(tf.math.is_nan(m), state[position], average)
    return state


def momenta(model, x, *, weights=None, state=None):
    """The momentum of every moving statistic, see `population_state`.

    Args:
        model, weights, state: See `bnkit.probes`.
        x: Inputs of one batch.

    Returns:
        Position in `model.non_trainable_variables` -> scalar tensor m, for the floating variables
        that a training call changes; NaN for a variable that is no moving statistic.
    """
    weights, state = read_variables(model, weights, state)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([value for value in state if value.dtype.is_floating])
        _, updated = call_at(model, weights, state, x)
    changed = [
        position
        for position, (before, after) in enumerate(zip(state, updated, strict=True))
        if after is not before and before.dtype.is_floating
    ]
    slopes = tape.gradient([updated[p] for p in changed], [state[p] for p in changed])
    return {
        position: _momentum(slope)
        for position, slope in zip(changed, slopes, strict=True)
        if slope is not None
    }


def _peek(batches):
    """The first batch, and all of them."""
    if tf.is_tensor(batches):
        return batches[0], batches
    rest = iter(batches)
    for first in rest:
        return first, itertools.chain([first], rest)
    raise ValueError("`batches` must hold at least one batch. Received: none")


def _momentum(slope):
    """The value that all entries of the slope have, if it can be a momentum; else NaN."""
    entries = tf.reshape(slope, [-1])
    same = tf.reduce_all(entries == entries[0])
    valid = same & (entries[0] >= 0) & (entries[0] < 1)
    return tf.where(valid, entries[0], float("nan"))
