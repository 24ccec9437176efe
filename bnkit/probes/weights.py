"""Effective learning rate and rotation of the weights, layer by layer."""

from typing import NamedTuple

import tensorflow as tf

from bnkit.probes.objective import Objective, read
from bnkit.probes.stages import stages


class Weights(NamedTuple):
    """What `weights` measures, one value per weight layer; tensors of the weights' type.

    W are the layer's trainable matrices and kernels taken together, g the gradient for them.

    Attributes:
        layers: Names of the weight layers, in forward order.
        weight_norm: `[layers]`, `||W(t)||`.
        effective_lr: `[layers]`, `lr / ||W(t)||^2`; inf for weights that are all 0.
        angular_update: `[layers]`, the angle between W(t) and W(t+1) in radians, 0 to pi; NaN
            if one of them is all 0.
        radial_share: `[layers]`, `<g, W>^2 / (||g||^2 ||W||^2)`, 0 to 1: the share of the
            squared gradient that points along W, and changes only its length. 0, up to rounding,
            for weights whose scale the normalisation after them removes (Lemma 4.5); NaN if g or W
            is all 0.
        gradient_norm: `[layers]`, `||g||`.
    """

    layers: tuple[str, ...]
    weight_norm: tf.Tensor
    effective_lr: tf.Tensor
    angular_update: tf.Tensor
    radial_share: tf.Tensor
    gradient_norm: tf.Tensor


def weights(
    model, loss_fn, batch, next_weights, lr, *, weights=None, state=None, statistics="batch"
):
    """How far each layer's weights turn in one update, and what learning rate that amounts to.

    If only the direction of W matters, a step of size lr turns it as far as a step of size
    `lr / ||W||^2` would turn a W of length 1 (Hoffer et al. 2018, arXiv 1803.01814; Kohler et al.
    2019, arXiv 1805.10694).

    Args:
        model, loss_fn, batch, weights, state, statistics: See `bnkit.probes`.
        next_weights: W(t+1), as the optimizer really produced them, aligned with
            `model.trainable_variables`.
        lr: Learning rate of the update, a number or a scalar tensor.

    Returns:
        A `Weights`. Costs one gradient.
    """
    objective = Objective(model, loss_fn, batch, weights, state, statistics)
    current = objective.weights
    following = read(next_weights, model.trainable_variables, "next_weights")
    _, gradient = objective.loss_and_gradient(current)
    lr = tf.cast(lr, tf.float64)
    layers = stages(model, batch[0])
    rows = []
    for layer in layers:
        kernels = [p for p in layer.positions if len(current[p].shape) >= 2]
        here, there, slope = (_vector(v, kernels) for v in (current, following, gradient))
        norm, gradient_norm = tf.norm(here), tf.norm(slope)
        # Divided one by one, so that no product leaves the range of floats.
        cosine = tf.reduce_sum((slope / gradient_norm) * (here / norm))
        rows.append([norm, lr / norm**2, _angle(here, there), cosine**2, gradient_norm])
    names = tuple(layer.name for layer in layers)
    return Weights(
        names, *(tf.cast(tf.stack(row), current[0].dtype) for row in zip(*rows, strict=True))
    )


def _vector(values, positions):
    """All entries at the positions in one vector, in float64.

    A small step changes float32 weights by a few units in the last place. The weights determine the
    angle exactly, but a length in float32 would lose it.
    """
    return tf.concat([tf.reshape(tf.cast(values[p], tf.float64), [-1]) for p in positions], 0)


def _angle(first, second):
    """The angle between two vectors in radians, to full accuracy also near 0 and pi.

    From the isosceles triangle of their unit vectors (Kahan): the cosine is flat at both ends.
    """
    first, second = first / tf.norm(first), second / tf.norm(second)
    return 2 * tf.atan2(tf.norm(first - second), tf.norm(first + second))
