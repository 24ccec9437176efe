"""The usual normalisations that do not look across the batch, from Keras, with one epsilon.

They pass a mask on. As in Keras, masked positions count in the statistics of their sample.
"""

import math

import keras
import tensorflow as tf

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="bnkit")
class LayerNorm(keras.layers.GroupNormalization):
    """Layer normalisation (Ba et al. 2016): statistics of a sample, over all its units.

    For images that is over height, width and channels. Scale and shift are per channel.
    """

    def __init__(self, epsilon=EPSILON, **kwargs):
        kwargs["groups"] = 1
        super().__init__(epsilon=epsilon, **kwargs)


@keras.saving.register_keras_serializable(package="bnkit")
class GroupNorm(keras.layers.GroupNormalization):
    """Group normalisation (Wu and He 2018): statistics of a sample, over groups of channels.

    Args:
        groups: Number of groups; where it does not divide the channels, the greatest common
            divisor of both is taken.
    """

    def __init__(self, groups=8, epsilon=EPSILON, **kwargs):
        super().__init__(groups=groups, epsilon=epsilon, **kwargs)

    def build(self, input_shape):
        self.groups = math.gcd(self.groups, input_shape[self.axis])
        super().build(input_shape)


@keras.saving.register_keras_serializable(package="bnkit")
class InstanceNorm(keras.layers.GroupNormalization):
    """Instance normalisation (Ulyanov et al. 2016): statistics of a sample's every channel.

    They are taken over height and width. A dense layer has none, there would be one value for each
    statistic: its activations are scaled and shifted, not normalised.
    """

    def __init__(self, epsilon=EPSILON, **kwargs):
        kwargs["groups"] = -1
        super().__init__(epsilon=epsilon, **kwargs)

    def call(self, inputs):
        if len(inputs.shape) > 2:
            return super().call(inputs)
        x = tf.cast(inputs, keras.backend.result_type(self.variable_dtype, "float32"))
        if self.scale:
            x *= tf.cast(self.gamma.value, x.dtype)
        if self.center:
            x += tf.cast(self.beta.value, x.dtype)
        return tf.cast(x, self.compute_dtype)


@keras.saving.register_keras_serializable(package="bnkit")
class RMSNorm(keras.layers.RMSNormalization):
    """Root mean square normalisation (Zhang and Sennrich 2019): over channels, not centred."""

    def __init__(self, epsilon=EPSILON, **kwargs):
        super().__init__(epsilon=epsilon, **kwargs)
        # Keras leaves both out here, unlike in its other normalisations.
        self.supports_masking = True
        self.autocast = False

    def call(self, inputs):
        return tf.cast(super().call(inputs), self.compute_dtype)
