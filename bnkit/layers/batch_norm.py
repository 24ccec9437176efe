"""Batch normalisation (Ioffe and Szegedy 2015), on TensorFlow's fused kernel where it applies."""

import keras
import tensorflow as tf

from bnkit.layers import kernels
from bnkit.layers.normalization import Normalization


@keras.saving.register_keras_serializable(package="bnkit")
class BatchNorm(Normalization):
    """Batch normalisation: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    The variance is the biased one (divided by n), in the batch statistics and in the moving
    average alike, as in `keras.layers.BatchNormalization`. Arguments: see `Normalization`.

    The fused kernel sums in float32: over the 1e5 values of a large image layer its variance keeps
    its digits up to a mean of about 1000 deviations, and is wrong at 10,000.

    In training mode the formula and its gradient are written out: for another one, derive from
    `Normalization` and not from here.

    >>> layer = BatchNorm(epsilon=0.0)
    >>> layer(np.array([[1.0], [3.0]]), training=True).numpy().ravel()
    array([-1.,  1.], dtype=float32)
    """

    spread_name = "variance"

    def measure_spread(self, x, mean):
        return self.batch_mean(tf.square(x - mean))

    def size(self, spread):
        return tf.sqrt(spread + self.epsilon)

    def normalize_batch(self, inputs):
        if self.across_replicas():
            return super().normalize_batch(inputs)
        units = self.moving_mean.shape
        gamma = self.gamma.value if self.scale else tf.ones(units, self.variable_dtype)
        beta = self.beta.value if self.center else tf.zeros(units, self.variable_dtype)
        if not self.takes_kernel(inputs):
            return self._in_few_ops(inputs, gamma, beta)
        # Half the cost of the same formula in single ops.
        return kernels.batch_norm(
            tf.cast(inputs, self.compute_dtype),
            tf.convert_to_tensor(gamma),
            tf.convert_to_tensor(beta),
            self.epsilon,
        )

    def _in_few_ops(self, inputs, gamma, beta):
        """`normalize_batch` with its gradient written out: half the ops of the derived one."""
        x = tf.cast(inputs, self.variable_dtype)
        mean = self.batch_mean(x)
        centred = x - self.broadcast(mean)
        variance = self.batch_mean(tf.square(centred))
        inverse = tf.math.rsqrt(variance + self.epsilon)

        @tf.custom_gradient
        def scaled(x, gamma, beta):
            factor = gamma * inverse
            outputs = centred * self.broadcast(factor) + self.broadcast(beta)

            def gradient(upstream):
                # Theorem 4.1 is the squared length of this: the statistics' own gradients take off
                # the mean, and the part along the normalised inputs.
                total = self._sum(upstream)
                along = self._sum(upstream * centred)
                share = factor / tf.cast(tf.size(x) // tf.size(gamma), x.dtype)
                for_x = upstream * self.broadcast(factor)
                for_x -= centred * self.broadcast(share * tf.square(inverse) * along)
                for_x -= self.broadcast(share * total)
                return for_x, inverse * along, total

            return outputs, gradient

        outputs = scaled(x, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))
        return tf.cast(outputs, self.compute_dtype), mean, variance
