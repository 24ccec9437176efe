"""Models as a user may write them, good and bad ones."""

import keras


def small(norm, input_shape, classes, seed, units=8, name="own"):
    """A dense layer with its normalisation, and logits."""
    glorot = keras.initializers.GlorotUniform
    x = inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(units, kernel_initializer=glorot(seed))(x)
    x = x if norm is None else norm(name="after")(x)
    x = keras.layers.ReLU()(x)
    outputs = keras.layers.Dense(classes, kernel_initializer=glorot(seed + 1))(x)
    return keras.Model(inputs, outputs, name=name)


class Subclassed(keras.Model):
    def __init__(self, norm, classes):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.hidden = keras.layers.Dense(6)
        self.norm = norm() if norm else keras.layers.Identity()
        self.head = keras.layers.Dense(classes)

    def call(self, x, training=False):
        return self.head(self.norm(self.hidden(self.flatten(x)), training=training))


def subclassed(norm, input_shape, classes, seed):
    return Subclassed(norm, classes)


def sequential(norm, input_shape, classes, seed):
    """Without an Input, so that it is not built yet."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(4), *([norm()] if norm else [])]
    return keras.Sequential([*layers, keras.layers.Dense(classes)])


def ignoring(norm, input_shape, classes, seed):
    return small(None, input_shape, classes, seed)


def unused(norm, input_shape, classes, seed):
    if norm is not None:
        norm(name="nowhere")
    return small(None, input_shape, classes, seed)


def raising(norm, input_shape, classes, seed):
    raise RuntimeError("no network today")


def leaving(norm, input_shape, classes, seed):
    raise SystemExit(3)


def layer(norm, input_shape, classes, seed):
    return keras.layers.Dense(classes)


def wide(norm, input_shape, classes, seed):
    return small(norm, input_shape, classes + 1, seed)


def pair(norm, input_shape, classes, seed):
    model = small(norm, input_shape, classes, seed)
    return keras.Model(model.input, [model.output, model.output])


def of_vectors(norm, input_shape, classes, seed):
    return small(norm, (5,), classes, seed)


def weightless(norm, input_shape, classes, seed):
    inputs = keras.Input(input_shape)
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, keras.ops.tile(x[:, :1], (1, classes)))


def infinite(norm, input_shape, classes, seed):
    model = small(norm, input_shape, classes, seed)
    return keras.Model(model.input, model.output / 0)


constant = 3
