"""A normalisation of one's own: any Keras layer that keeps the shape of its inputs."""

import keras


class PixelNorm(keras.layers.Layer):
    """Divides the channels at every position by their root mean square (Karras et al. 2018)."""

    def call(self, inputs):
        mean_square = keras.ops.mean(inputs**2, axis=-1, keepdims=True)
        return inputs * keras.ops.rsqrt(mean_square + 1e-5)
