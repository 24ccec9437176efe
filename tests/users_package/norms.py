"""Layers as a user may write them, good and bad ones."""

import math

import keras


class Halve(keras.layers.Layer):
    def call(self, x):
        return x / 2


def halve(name):
    return Halve(name=name)


class Scaled(keras.layers.Wrapper):
    def call(self, x):
        return self.layer(x) * 2


class Flattening(keras.layers.Layer):
    def call(self, x):
        return keras.ops.reshape(x, (-1, math.prod(x.shape[1:])))


class Pair(keras.layers.Layer):
    def call(self, x):
        return x, x


class Unbuildable(keras.layers.Layer):
    def build(self, input_shape):
        raise RuntimeError("no such shape today")


class Picky(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)


class NotANumber(keras.layers.Layer):
    def call(self, x, training=False):
        return x * float("nan") if training else x


class Infinite(keras.layers.Layer):
    def call(self, x):
        return x / 0


def leaving(name):
    raise SystemExit(3)


def nothing(name):
    return None


def nameless():
    return Halve()


class NoLayer:
    pass


constant = 3
