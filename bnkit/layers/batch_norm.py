"""Batch normalisation (Ioffe and Szegedy 2015), on TensorFlow's fused kernel where it applies."""

import keras
import tensorflow as tf

from bnkit.layers import kernels
from bnkit.layers.normalization import Normalization


@keras.saving.register_keras_serializable(package="bnkit")
class BatchNorm(Normalization):
    """Batch normalisation: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    The variance is the biased one (divided by n), in the batch statistics and in the moving
    average alike, as in `keras.layers.BatchNormalization`, whose arguments, attributes and
    configuration this layer takes over (but batch renormalisation). Momentum and epsilon have
    other defaults. Arguments: see `Normalization`.

    The fused kernel sums in float32: over the 1e5 values of a large image layer its variance keeps
    its digits up to a mean of about 1000 deviations, and is wrong at 10,000.

    In training mode the formula and its gradient are written out: for another one, derive from
    `Normalization` and not from here.

    >>> layer = BatchNorm(epsilon=0.0)
    >>> layer(np.array([[1.0], [3.0]]), training=True).numpy().ravel()
    array([-1.,  1.], dtype=float32)
    """

    spread_name = "variance"

    @classmethod
    def from_config(cls, config):
        """A layer from its own configuration, or from a `keras.layers.BatchNormalization`'s."""
        config = dict(config)
        if config.pop("renorm", False):
            raise ValueError("Batch renormalisation is not available. Received: renorm=True")
        # What renormalisation would have been given: without it they have no effect.
        config.pop("renorm_clipping", None)
        config.pop("renorm_momentum", None)
        return super().from_config(config)

    def measure_spread(self, x, mean, batch):
        return batch.mean(tf.square(x - mean))

    def size(self, spread):
        return tf.sqrt(spread + self.epsilon)

    def normalize_batch(self, inputs, batch):
        if batch.across_replicas or batch.mask is not None:
            return super().normalize_batch(inputs, batch)
        units, dtype = self.moving_mean.shape, self.statistics_dtype
        gamma = self.value_of(self.gamma) if self.scale else tf.ones(units, dtype)
        beta = self.value_of(self.beta) if self.center else tf.zeros(units, dtype)
        if self.takes_kernel(inputs):
            # Half the cost of the same formula in single ops.
            outputs, mean, variance = kernels.batch_norm(
                self.kernel_inputs(inputs), gamma, beta, self.epsilon
            )
        else:
            outputs, mean, variance = self._in_few_ops(inputs, gamma, beta, batch)
        return tf.cast(outputs, self.compute_dtype), mean, variance

    def _in_few_ops(self, inputs, gamma, beta, batch):
        """`normalize_batch` with its gradient written out: half the ops of the derived one."""
        x = tf.cast(inputs, self.statistics_dtype)
        mean = batch.mean(x)
        centred = x - self.broadcast(mean)
        variance = batch.mean(tf.square(centred))
        inverse = tf.math.rsqrt(variance + self.epsilon)

        @tf.custom_gradient
        def scaled(x, gamma, beta):
            factor = gamma * inverse
            outputs = centred * self.broadcast(factor) + self.broadcast(beta)

            def gradient(upstream):
                # Theorem 4.1 is the squared length of this: the statistics' own gradients take off
                # the mean, and the part along the normalised inputs.
                total = batch.sum(upstream)
                along = batch.sum(upstream * centred)
                share = factor / batch.count
                for_x = upstream * self.broadcast(factor)
                for_x -= centred * self.broadcast(share * tf.square(inverse) * along)
                for_x -= self.broadcast(share * total)
                return for_x, inverse * along, total

            return outputs, gradient

        return scaled(x, gamma, beta), mean, variance
