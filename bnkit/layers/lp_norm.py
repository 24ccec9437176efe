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

    spread_name = "size"

    def __init__(self, p, **kwargs):
        super().__init__(**kwargs)
        is_number = isinstance(p, (int, float)) and not isinstance(p, bool)
        if p != "inf" and not (is_number and 1 <= p < float("inf")):
            raise ValueError(f"`p` must be a number >= 1 or 'inf'. Received: p={p!r}")
        self.p = p

    def measure_spread(self, x, mean):
        if self.p == "inf":
            return self._largest(x)
        if self.p == 1:
            return self.batch_mean(tf.abs(x))
        if self.p == 2:
            return _root(self.batch_mean(tf.square(x)), 2)
        # Relative to the largest, no power overflows; the result does not depend on it.
        largest = self.batch_max(tf.abs(x))
        unit = tf.where(largest > 0, largest, 1)
        powers = tf.pow(tf.abs(x) / self.broadcast(unit), self.p)
        return unit * _root(self.batch_mean(powers), self.p)

    def _largest(self, x):
        """`max |x|` over the batch, `[units]`, with a gradient in half the passes."""

        @tf.custom_gradient
        def largest(x):
            magnitudes = tf.abs(x)
            maximum = self.batch_max(magnitudes)

            def gradient(upstream):
                hits = tf.cast(tf.equal(magnitudes, self.broadcast(maximum)), x.dtype)
                share = self.sum_over_replicas(upstream) / self.batch_sum(hits)
                # At the maximum, x / maximum is the sign of x: constant, so that nothing here but
                # `upstream` has derivatives of its own.
                factor = self.broadcast(tf.math.divide_no_nan(share, maximum))
                return hits * (tf.stop_gradient(x) * factor)

            return maximum, gradient

        return largest(x)

    def size(self, spread):
        return spread + self.epsilon

    def get_config(self):
        return {**super().get_config(), "p": self.p}


def _root(values, p):
    """`values^(1/p)`, with gradient 0 instead of infinity at 0."""
    positive = values > 0
    return tf.where(positive, tf.pow(tf.where(positive, values, 1), 1 / p), 0)
