"""Multilayer perceptrons."""

import math

import keras

from bnkit.models.classifier import check_width, logits, scaled
from bnkit.models.stage import factory_of, glorot_uniform, normalised
from bnkit.models.task import classification

_UNITS = 512


def perceptron(
    norm="bn",
    depth=5,
    width=1.0,
    classes=10,
    input_shape=(32, 32, 3),
    *,
    activation="relu",
    seed=None,
):
    """A multilayer perceptron: hidden layers of 512 units, logits.

    Layers are named by stage, `dense1 norm1 relu1 dense2 ... logits`; images are flattened first.
    Every weight layer but the last has a normalisation, before the non-linearity, and all keep
    their bias in every arm. Weights are Glorot uniform.

    Args:
        norm: As for `bnkit.models.vgg`.
        depth: Number of weight layers, the logits among them.
        width: Multiplies the units of every layer but the logits.
        classes: Number of logits.
        input_shape: That of one sample: of images, or `(features,)`.
        activation: As for `bnkit.models.vgg`.
        seed: As for `bnkit.models.vgg`.

    Returns:
        A `keras.Model` from `[batch, *input_shape]` to float32 logits `[batch, classes]`.

    Raises:
        ValueError: For a depth or width that is not valid, an unknown normalisation, or one that
            cannot be built or changes the shape.
    """
    if not (isinstance(depth, int) and depth >= 1):
        raise ValueError(f"`depth` must be an integer >= 1. Received: depth={depth!r}")
    check_width(width)
    factory = factory_of(norm)
    initializers = glorot_uniform(seed, depth)
    x = inputs = keras.Input(input_shape, name="inputs")
    if len(input_shape) != 1:
        x = keras.layers.Reshape((math.prod(input_shape),), name="flatten")(x)
    for index in range(1, depth):
        dense = keras.layers.Dense(
            scaled(_UNITS, width), kernel_initializer=next(initializers), name=f"dense{index}"
        )
        x = normalised(x, dense, factory, f"norm{index}")
        x = keras.layers.Activation(activation, name=f"{activation}{index}")(x)
    return keras.Model(inputs, logits(x, classes, next(initializers)), name=f"perceptron{depth}")


def from_settings(settings, norm, dataset):
    """The `Task` of a run, see `bnkit.models.from_settings`."""
    return classification(
        perceptron(
            norm,
            depth=settings.depth,
            width=settings.width,
            classes=dataset.classes,
            input_shape=dataset.input_shape,
            activation=settings.activation,
            seed=settings.seed,
        ),
        settings.label_smoothing,
    )
