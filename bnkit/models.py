"""The study's networks, as functional Keras models built around any normalisation."""

import keras
import numpy as np

from bnkit import layers

# Channels of the 3x3 convolutions, "M" a 2x2 maximum pooling: configurations A and D of Simonyan
# and Zisserman (2015).
_VGG = {
    11: (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    16: (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
}
_DENSE_UNITS = 512


def vgg(norm="bn", depth=11, width=1.0, classes=10, input_shape=(32, 32, 3), *, seed=None):
    """VGG for small images: convolutions, two hidden dense layers, logits.

    Layers are named by stage, weight layers counted from 1 in forward order (the paper's
    "Layer #"): `conv1 norm1 relu1 ... dense9 norm9 relu9 dense10 norm10 relu10 logits`. Every
    weight layer but the last is followed by the normalisation, before the non-linearity. All
    weight layers keep their bias in every arm: the networks differ in the normalisation alone.
    Weights are Glorot uniform.

    Args:
        norm: A name that `bnkit.layers.get` knows, or a factory `factory(name=...) -> Layer`.
        depth: Number of weight layers, 11 or 16.
        width: Multiplies the units of every layer but the logits.
        classes: Number of logits.
        input_shape: `(height, width, channels)`, at least 1x1.
        seed: Makes the initial weights reproducible, and equal for every normalisation.

    Returns:
        A `keras.Model` from `[batch, *input_shape]` to float32 logits `[batch, classes]`.

    Raises:
        ValueError: for a depth or width that is not valid, or an unknown normalisation.
    """
    if depth not in _VGG:
        raise ValueError(f"`depth` must be one of {sorted(_VGG)}. Received: depth={depth!r}")
    if not width > 0:
        raise ValueError(f"`width` must be > 0. Received: width={width!r}")
    factory = layers.get(norm) if isinstance(norm, str) else norm
    seeds = iter(np.random.default_rng(seed).integers(2**31, size=depth).tolist())

    def glorot():
        return keras.initializers.GlorotUniform(seed=next(seeds))

    def stage(x, layer, index):
        x = layer(x)
        if factory is not None:
            x = factory(name=f"norm{index}")(x)
        return keras.layers.ReLU(name=f"relu{index}")(x)

    x = inputs = keras.Input(input_shape, name="images")
    index = pools = 0
    for entry in _VGG[depth]:
        if entry == "M":
            pools += 1
            x = keras.layers.MaxPooling2D(padding="same", name=f"pool{pools}")(x)
            continue
        index += 1
        convolution = keras.layers.Conv2D(
            _scaled(entry, width),
            3,
            padding="same",
            kernel_initializer=glorot(),
            name=f"conv{index}",
        )
        x = stage(x, convolution, index)
    x = keras.layers.Flatten(name="flatten")(x)
    while index < depth - 1:
        index += 1
        dense = keras.layers.Dense(
            _scaled(_DENSE_UNITS, width), kernel_initializer=glorot(), name=f"dense{index}"
        )
        x = stage(x, dense, index)
    # Logits and with them the loss are float32 whatever the compute type.
    logits = keras.layers.Dense(
        classes, kernel_initializer=glorot(), dtype="float32", name="logits"
    )
    return keras.Model(inputs, logits(x), name=f"vgg{depth}")


def _scaled(units, width):
    return max(1, round(units * width))
