"""What the paper proves of a batch-norm layer, measured on a live network (Theorem 4.1)."""

from typing import NamedTuple

import keras
import tensorflow as tf

from bnkit.layers import BatchNorm
from bnkit.layers.batch import in_shape_of
from bnkit.probes import replicas
from bnkit.probes.objective import Objective
from bnkit.probes.recording import parts, recorded
from bnkit.probes.stages import distinct_names


class BatchNormIdentity(NamedTuple):
    """What `batch_norm_identity` measures, one value per layer; tensors `[layers]`, float64.

    Attributes:
        layers: Names of the batch-norm layers, in forward order.
        left: `sum over units ||dL_hat/dy||^2`.
        right: `sum over units gamma^2/sigma^2 (||g||^2 - <1, g>^2 / m - <g, y_hat>^2 / m)`.
        relative_difference: `|left - right| / right`; NaN if both are 0.
        gradient_ratio: `||dL_hat/dy|| / ||dL/dz||`, over all units: the size of the gradient for
            the layer's inputs relative to that for its outputs; NaN if `dL/dz` is 0.
    """

    layers: tuple[str, ...]
    left: tf.Tensor
    right: tf.Tensor
    relative_difference: tf.Tensor
    gradient_ratio: tf.Tensor


def batch_norm_identity(model, loss_fn, batch, *, weights=None, state=None, statistics="batch"):
    """Both sides of Theorem 4.1 for every batch-norm layer of a network.

    y are the inputs of the layer, z its outputs, `g = dL/dz`, m the number of values of a unit,
    `sigma^2` their variance plus epsilon, `y_hat = (y - mean) / sigma`. With epsilon 0 the sides
    are equal (with 1/m in the last term, as in the paper's proof; the theorem prints 1/sqrt(m)):
    a difference beyond rounding is an error in the layer's gradient. With epsilon > 0, `left` is
    smaller, by the share `epsilon / sigma^2` of the last term.

    The layers are those of `bnkit.layers.BatchNorm` and `keras.layers.BatchNormalization` that
    take the statistics of the batch. A layer that uses its moving averages is left out, and so is
    one inside a layer that loops over time. If a layer is called several times, the first call
    counts.

    Args:
        model, loss_fn, batch, weights, state, statistics: See `bnkit.probes`.

    Returns:
        A `BatchNormIdentity`. Inside `strategy.run` the loss is that of the global batch, the
        statistics are those of each replica's share, and both sides are summed over the replicas;
        those of a `synchronized` layer are of the global batch. Costs one gradient.

    Raises:
        ValueError: For a model without such a layer.
    """
    objective = Objective(model, loss_fn, batch, weights, state, statistics)
    tape = tf.GradientTape(watch_accessed_variables=False)
    with tape, recorded(_targets(model), tape) as calls:
        scaled = objective.scaled(objective.replica_loss(objective.weights))
    calls = _first_of_each(calls)
    if not calls:
        raise ValueError(
            "The model has no batch norm that takes the statistics of the batch. "
            f"Received: model {model.name!r}"
        )
    gradients = tape.gradient(
        scaled,
        [(call.inputs[0], call.outputs[0]) for call in calls],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    terms = [
        _sides(call, *of_call, gamma, objective)
        for call, of_call, gamma in zip(
            calls, gradients, _gammas(calls, model, objective), strict=True
        )
    ]
    left, right, squared = tf.unstack(tf.stack(replicas.added_up(terms)), axis=1)
    return BatchNormIdentity(
        tuple(distinct_names([call.owner for call in calls])),
        left,
        right,
        tf.abs(left - right) / right,
        tf.sqrt(left / squared),
    )


def _gammas(calls, model, objective):
    """The scales of the layers, at the weights and state that the objective has."""
    values = dict(zip(map(id, model.trainable_variables), objective.weights, strict=True))
    values |= zip(map(id, model.non_trainable_variables), objective.state, strict=True)
    layers = [call.owner for call in calls]
    return [tf.cast(values[id(one.gamma)] if one.scale else 1, tf.float64) for one in layers]


def _targets(model):
    """The calls to record; those of Keras's layer may be in either mode, see `_first_of_each`."""
    attributes = {BatchNorm: "normalize_batch", keras.layers.BatchNormalization: "call"}
    return [
        (part, attribute)
        for part in parts(model)
        for kind, attribute in attributes.items()
        if isinstance(part, kind)
    ]


def _first_of_each(calls):
    """Each layer's first call that took the statistics of the batch."""
    first = {}
    for call in calls:
        is_keras = isinstance(call.owner, keras.layers.BatchNormalization)
        if is_keras and not (call.owner.trainable and call.keywords.get("training")):
            continue
        first.setdefault(id(call.owner), call)
    return list(first.values())


def _counted(call):
    """True for the values that the statistics of a call are taken over; None for all of them."""
    if "batch" in call.keywords:
        return call.keywords["batch"].mask
    mask = call.keywords.get("mask")
    return None if mask is None else in_shape_of(call.inputs[0], mask)


def _sides(call, by_y, g, gamma, objective):
    """What this replica adds to left, right and `||g||^2`, `[3]`.

    Values that a mask takes out of the statistics are normalised by them nevertheless: they have
    gradients, but no part in the mean and the variance. With sums over all values for `<1, g>` and
    `<y_hat, g>`, and over those that count for the same with index c, the right side is
    `gamma^2/sigma^2 (||g||^2 + (<1, g> (<1, g> - 2 <1, g>_c) + the same of y_hat) / m)`.
    """
    y, layer, counted = call.inputs[0], call.owner, _counted(call)
    # In the type of the activations, at least float32; each sample's sums are added up in float64.
    dtype = tf.float64 if y.dtype == tf.float64 else tf.float32
    y, by_y, g = [tf.cast(tensor, dtype) for tensor in (y, by_y, g)]
    by_y, g = objective.unscaled([by_y, g])

    def over_batch(*values):
        sums = [_by_unit(value, layer.axis) for value in values]
        return replicas.added_up(sums) if layer.synchronized else sums

    def of_counted(values):
        return values if counted is None else tf.where(counted, values, 0)

    def broadcast(of_units):
        shape = [1] * len(y.shape)
        shape[layer.axis] = -1
        return tf.cast(tf.reshape(of_units, shape), dtype)

    count, total = over_batch(of_counted(tf.ones_like(y)), of_counted(y))
    centred = y - broadcast(total / count)
    along = g * centred
    squares, of_g, one, one_counted, hat, hat_counted = over_batch(
        of_counted(tf.square(centred)), tf.square(g), g, of_counted(g), along, of_counted(along)
    )
    variance = squares / count + layer.epsilon
    along_one = one * (one - 2 * one_counted)
    along_hat = hat * (hat - 2 * hat_counted) / variance
    right = tf.square(gamma) / variance * (of_g + (along_one + along_hat) / count)
    right = tf.reduce_sum(right)
    if layer.synchronized:
        # The same on all replicas, of the global batch.
        right /= objective.replicas
    left, squared = (tf.reduce_sum(_by_unit(tf.square(v), layer.axis)) for v in (by_y, g))
    return tf.stack([left, right, squared])


def _by_unit(tensor, axis):
    """Sum over all axes but one, `[units]`, float64."""
    axes = list(range(len(tensor.shape)))
    del axes[axis]
    for other in reversed(axes[1:]):
        # One axis after the other: a single float32 sum over 1e5 values would lose digits.
        tensor = tf.reduce_sum(tensor, other, keepdims=True)
    return tf.reshape(tf.reduce_sum(tf.cast(tensor, tf.float64), axes[0]), [-1])
