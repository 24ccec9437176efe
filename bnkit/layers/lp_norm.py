"""Lp normalisation (paper section 3.3): as batch norm, with another measure of size."""

import keras
import tensorflow as tf

from bnkit.layers.normalization import Normalization


@keras.saving.register_keras_serializable(package="bnkit")
class LpNorm(Normalization):
    """`gamma * (x - mean) / (s + epsilon) + beta` with `s = mean(|x|^p)^(1/p)` over the batch.

    The size s is that of the activations *before* they are centred; for p infinite it is
    `max |x|`. So p = 2 is not batch norm: its outputs are smaller by the factor
    `deviation / sqrt(deviation^2 + mean^2)`. The moving average for inference is that of s.

    The gradient of s is 0 where all activations of a unit are 0. Where several share the maximum,
    they share its gradient equally.

    Args:
        p: A number >= 1, or `"inf"`.
        others: See `Normalization`.

    >>> layer = LpNorm(p=1, epsilon=0.0)
    >>> layer(np.array([[1.0], [3.0]]), training=True).numpy().ravel()
    array([-0.5,  0.5], dtype=float32)
    """

    spread_name = "spread"

    def __init__(self, p, **kwargs):
        super().__init__(**kwargs)
        is_number = isinstance(p, (int, float)) and not isinstance(p, bool)
        if p != "inf" and not (is_number and 1 <= p < float("inf")):
            raise ValueError(f"`p` must be a number >= 1 or 'inf'. Received: p={p!r}")
        self.p = p

    def measure_spread(self, x, mean, batch):
        if self.p == "inf":
            return _largest(x, batch, self.broadcast)
        if self.p == 1:
            return batch.mean(tf.abs(x))
        if self.p == 2:
            return _root(batch.mean(tf.square(x)), 2)
        # Relative to the largest, no power overflows; the result does not depend on it.
        largest = tf.stop_gradient(batch.max(tf.abs(x)))
        unit = tf.where(largest > 0, largest, 1)
        powers = tf.pow(tf.abs(x) / self.broadcast(unit), self.p)
        return unit * _root(batch.mean(powers), self.p)

    def size(self, spread):
        return spread + self.epsilon

    def get_config(self):
        return {**super().get_config(), "p": self.p}


def _root(values, p):
    """`values^(1/p)`, with gradient 0 instead of infinity at 0."""
    positive = values > 0
    return tf.where(positive, tf.pow(tf.where(positive, values, 1), 1 / p), 0)


def _largest(x, batch, broadcast):
    """`max |x|` over the batch, `[units]`, with a gradient in half the passes.

    Within a graph TensorFlow's forward mode goes through the operations here and not through the
    gradient: both must be right.
    """

    @tf.custom_gradient
    def largest(x):
        magnitudes = tf.abs(x)
        maximum = batch.max(magnitudes)

        def gradient(upstream):
            # At the maximum, x / maximum is the sign of x: constant, so that nothing here but
            # `upstream` has derivatives of its own.
            constant = tf.stop_gradient(maximum)
            hits = tf.cast(tf.equal(magnitudes, broadcast(constant)), x.dtype)
            share = batch.sum_over_replicas(upstream) / batch.sum(hits)
            factor = broadcast(tf.math.divide_no_nan(share, constant))
            return hits * (tf.stop_gradient(x) * factor)

        return maximum, gradient

    return largest(x)
