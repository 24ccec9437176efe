"""VGG for small images."""

import functools

import keras

from bnkit.models.classifier import DATA_FORMAT, check_images, check_width, logits, scaled
from bnkit.models.stage import factory_of, glorot_uniform, normalised
from bnkit.models.task import classification

# Channels of the 3x3 convolutions, "M" a 2x2 maximum pooling: configurations A, B, D and E of
# Simonyan and Zisserman (2015).
_PLANS = {
    11: (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    13: (64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    16: (64, 64, "M", 128, 128, "M", *(256,) * 3, "M", *(512,) * 3, "M", *(512,) * 3, "M"),
    19: (64, 64, "M", 128, 128, "M", *(256,) * 4, "M", *(512,) * 4, "M", *(512,) * 4, "M"),
}
_DENSE_UNITS = 512
_WEIGHT_LAYERS = {
    "conv": functools.partial(
        keras.layers.Conv2D, kernel_size=3, padding="same", data_format=DATA_FORMAT
    ),
    "dense": keras.layers.Dense,
}


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
        depth: Number of weight layers: 11, 13, 16 or 19.
        width: Multiplies the units of every layer but the logits.
        classes: Number of logits.
        input_shape: `(height, width, channels)`, at least 1x1; channels are last whatever Keras's
            configuration says.
        activation: Name of the non-linearity, such as "relu", "elu" or "selu".
        seed: Makes the initial weights reproducible, and equal for every normalisation.

    Returns:
        A `keras.Model` from `[batch, *input_shape]` to float32 logits `[batch, classes]`.

    Raises:
        ValueError: For a depth, width or shape that is not valid, an unknown normalisation, or one
            that cannot be built or changes the shape.
    """
    if depth not in _PLANS:
        raise ValueError(f"`depth` must be one of {sorted(_PLANS)}. Received: depth={depth!r}")
    check_width(width)
    check_images(input_shape)
    factory = factory_of(norm)
    initializers = glorot_uniform(seed, depth)

    def stage(x, kind, index, units):
        layer = _WEIGHT_LAYERS[kind](
            scaled(units, width),
            kernel_initializer=next(initializers),
            name=f"{kind}{index}",
        )
        x = normalised(x, layer, factory, f"norm{index}")
        return keras.layers.Activation(activation, name=f"{activation}{index}")(x)

    inputs = keras.Input(input_shape, name="images")
    x = _hidden_stages(inputs, depth, stage)
    outputs = logits(x, classes, next(initializers))
    return keras.Model(inputs, outputs, name=f"vgg{depth}")


def from_settings(settings, norm, dataset, depth):
    """The `Task` of a run, see `bnkit.models.from_settings`."""
    return classification(
        vgg(
            norm,
            depth=depth,
            width=settings.width,
            classes=dataset.classes,
            input_shape=dataset.input_shape,
            activation=settings.activation,
            seed=settings.seed,
        ),
        settings.label_smoothing,
    )


def _hidden_stages(x, depth, stage):
    """All of the network but the logits; `stage(x, kind, index, units)` makes each stage."""
    index = pools = 0
    for entry in _PLANS[depth]:
        if entry == "M":
            pools += 1
            x = _pooled(x, f"pool{pools}")
        else:
            index += 1
            x = stage(x, "conv", index, entry)
    x = keras.layers.Flatten(data_format=DATA_FORMAT, name="flatten")(x)
    for index in (depth - 2, depth - 1):
        x = stage(x, "dense", index, _DENSE_UNITS)
    return x


def _pooled(x, name):
    """A quarter of the pixels; a single pixel is left as it is."""
    if max(x.shape[1:3]) == 1:
        # Nothing to pool, and TensorFlow gets the second derivative of such a pooling wrong.
        return x
    return keras.layers.MaxPooling2D(padding="same", data_format=DATA_FORMAT, name=name)(x)
