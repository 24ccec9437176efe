"""Attention of tokens to one another, without weights of its own."""

import math

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="bnkit")
class Attention(keras.layers.Layer):
    """`softmax(Q K' / sqrt(d)) V` in several heads of d channels each (Vaswani et al. 2017).

    Queries, keys and values come from weight layers before it, so that each is a layer to measure.

    Args:
        heads: Number of heads, a divisor of the channels.
        others: Those of `keras.Layer`.

    Inputs: queries, keys and values `[batch, tokens, channels]`; output: the same shape.

    Raises:
        ValueError: When built, for channels that the heads do not divide.
    """

    def __init__(self, heads, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, query_shape, key_shape=None, value_shape=None):
        if query_shape[-1] % self.heads:
            raise ValueError(
                f"`heads` must divide the channels. Received: heads={self.heads}, "
                f"query_shape={tuple(query_shape)}"
            )

    def call(self, query, key, value):
        query, key, value = (self._split(tensor) for tensor in (query, key, value))
        scores = keras.ops.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(query.shape[-1])
        # Keras's own would warn of images of a single patch.
        mixed = keras.ops.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores), value)
        return keras.ops.reshape(mixed, (-1, mixed.shape[1], mixed.shape[2] * mixed.shape[3]))

    def compute_output_shape(self, query_shape, key_shape=None, value_shape=None):
        return query_shape

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}

    def _split(self, tensor):
        """`[batch, tokens, heads, d]`."""
        tokens, channels = tensor.shape[1:]
        return keras.ops.reshape(tensor, (-1, tokens, self.heads, channels // self.heads))
