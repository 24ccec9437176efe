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


def vgg(
    norm="bn",
    depth=11,
    width=1.0,
    classes=10,
    input_shape=(32, 32, 3),
    *,
    activation="relu",
    seed=None,
):
    """VGG for small images: convolutions, two hidden dense layers, logits.

    Layers are named by stage, weight layers counted from 1 in forward order (the paper's
    "Layer #"): `conv1 norm1 relu1 ... dense9 norm9 relu9 dense10 norm10 relu10 logits`. Every
    weight layer but the last is followed by the normalisation, before the non-linearity. All
    weight layers keep their bias in every arm: the networks differ in the normalisation alone.
    Weights are Glorot uniform.

    Args:
        norm: A name that `bnkit.layers.get` knows, or a factory `factory(name=...) -> Layer`; None
            for none. A factory of a `keras.layers.Wrapper` gets the weight layer to wrap first.
        depth: Number of weight layers, 11 or 16.
        width: Multiplies the units of every layer but the logits.
        classes: Number of logits.
        input_shape: `(height, width, channels)`, at least 1x1.
        activation: Name of the non-linearity, such as "relu", "elu" or "selu".
        seed: Makes the initial weights reproducible, and equal for every normalisation.

    Returns:
        A `keras.Model` from `[batch, *input_shape]` to float32 logits `[batch, classes]`.

    Raises:
        ValueError: for a depth or width that is not valid, an unknown normalisation, or one that
            cannot be built or changes the shape.
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
        x = _normalised(x, layer, factory, f"norm{index}")
        return keras.layers.Activation(activation, name=f"{activation}{index}")(x)

    x = inputs = keras.Input(input_shape, name="images")
    index = pools = 0
    for entry in _VGG[depth]:
        if entry == "M":
            pools += 1
            if max(x.shape[1:3]) == 1:
                continue  # nothing to pool, and TensorFlow gets its second derivative wrong there
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


def deep_linear(norm="none", depth=25, dim=10, *, norm_last=False, seed=None):
    """The deep linear network: square linear layers without bias or non-linearity (paper Fig 5).

    Layers are named `dense1 norm1 dense2 ... dense25`. Weights are Glorot uniform.

    Args:
        norm: As for `vgg`.
        depth: Number of linear layers.
        dim: Units of every layer, and length of inputs and outputs.
        norm_last: Whether the last layer is normalised, too.
        seed: As for `vgg`.

    Returns:
        A `keras.Model` from `[batch, dim]` to `[batch, dim]`.

    Raises:
        ValueError: as `vgg`.
    """
    for name, value in (("depth", depth), ("dim", dim)):
        if not (isinstance(value, int) and value >= 1):
            raise ValueError(f"`{name}` must be an integer >= 1. Received: {name}={value!r}")
    factory = layers.get(norm) if isinstance(norm, str) else norm
    seeds = np.random.default_rng(seed).integers(2**31, size=depth).tolist()
    x = inputs = keras.Input((dim,), name="inputs")
    for index in range(1, depth + 1):
        dense = keras.layers.Dense(
            dim,
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seeds[index - 1]),
            # Outputs and with them the loss are float32 whatever the compute type.
            dtype="float32" if index == depth else None,
            name=f"dense{index}",
        )
        is_normalised = index < depth or norm_last
        x = _normalised(x, dense, factory if is_normalised else None, f"norm{index}")
    return keras.Model(inputs, x, name=f"deep_linear{depth}")


def _normalised(x, layer, factory, name):
    """The weight layer with its normalisation, applied to x.

    Raises:
        ValueError: if the normalisation cannot be built, or changes the shape.
    """
    if factory is None:
        return layer(x)
    before = x if layers.wraps(factory) else layer(x)
    try:
        norm = factory(layer, name=name) if layers.wraps(factory) else factory(name=name)
        outputs = norm(before)
    except Exception as error:
        # Anything may go wrong in a user's layer; what is added is where.
        raise ValueError(
            f"The normalisation {name} cannot be built for inputs of shape {before.shape}: "
            f"{type(error).__name__}: {error}"
        ) from error
    expected = layer.compute_output_shape(x.shape)
    received = getattr(outputs, "shape", f"a {type(outputs).__name__}")
    if received != tuple(expected):
        raise ValueError(
            f"The normalisation {name} must give one tensor of shape {tuple(expected)}. "
            f"Received: {received}"
        )
    return outputs


def _scaled(units, width):
    return max(1, round(units * width))
