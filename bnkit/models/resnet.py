"""Residual networks for small images."""

import keras

from bnkit.models.classifier import DATA_FORMAT, check_images, check_width, logits, scaled
from bnkit.models.stage import factory_of, glorot_uniform, normalise, weigh
from bnkit.models.task import classification

_DEPTHS = (20, 32, 56)
# Channels of the three stages (He et al. 2016, section 4.2).
_CHANNELS = (16, 32, 64)
_PLACES = ("post", "pre")


def resnet(
    norm="bn",
    depth=20,
    width=1.0,
    classes=10,
    input_shape=(32, 32, 3),
    *,
    skip=True,
    norm_place="post",
    activation="relu",
    seed=None,
):
    """The residual network for small images of He et al. (2016, arXiv 1512.03385), section 4.2.

    A convolution, three stages of `(depth - 2) / 6` blocks of two 3x3 convolutions each, the mean
    over all positions, logits. The first convolutions of the second and third stage have stride 2.
    There, the skip connection takes every second position and fills up with channels of zeros (He's
    option A). So skip connections have no weights, and the plain network has the same ones.

    Layers are named by stage, weight layers counted from 1 in forward order: `conv1 norm1 relu1
    conv2 norm2 relu2 conv3 norm3 add1 relu3 conv4 ...`. In the pre-activation form (He et al. 2016,
    arXiv 1603.05027) normalisation and non-linearity follow the sum: `... conv3 add1 norm3 relu3
    conv4 ...`. Every weight layer but the last has a normalisation, and all keep their bias in
    every arm. Weights are Glorot uniform.

    Args:
        norm: As for `bnkit.models.vgg`.
        depth: Number of weight layers: 20, 32 or 56.
        width: Multiplies the channels of every convolution.
        classes: Number of logits.
        input_shape: `(height, width, channels)`, at least 1x1; channels are last whatever Keras's
            configuration says.
        skip: Whether there are skip connections; the plain twin has none.
        norm_place: "post" to normalise what each convolution gives, "pre" for the pre-activation
            form. Without skip connections both are the same.
        activation: As for `bnkit.models.vgg`.
        seed: As for `bnkit.models.vgg`.

    Returns:
        A `keras.Model` from `[batch, *input_shape]` to float32 logits `[batch, classes]`.

    Raises:
        ValueError: For a depth, width, place or shape that is not valid, an unknown normalisation,
            or one that cannot be built or changes the shape.
    """
    for name, value, valid in (("depth", depth, _DEPTHS), ("norm_place", norm_place, _PLACES)):
        if value not in valid:
            raise ValueError(f"`{name}` must be one of {list(valid)}. Received: {name}={value!r}")
    check_width(width)
    check_images(input_shape)
    initializers = glorot_uniform(seed, depth)
    stages = _Stages(factory_of(norm), initializers, activation)
    block = {"post": _post_block, "pre": _pre_block}[norm_place]
    x = inputs = keras.Input(input_shape, name="images")
    x = stages.convolved(x, scaled(_CHANNELS[0], width))
    if norm_place == "post":
        x = stages.activated(stages.normed(x))
    per_stage = (depth - 2) // 6
    for index in range(3 * per_stage):
        channels = scaled(_CHANNELS[index // per_stage], width)
        stride = 2 if index and index % per_stage == 0 else 1

        def add(x, start, number=index + 1):
            return _with_skip(x, start, number) if skip else x

        x = block(stages, x, channels, stride, add)
    if norm_place == "pre":
        x = stages.activated(stages.normed(x))
    x = keras.layers.GlobalAveragePooling2D(data_format=DATA_FORMAT, name="pool")(x)
    outputs = logits(x, classes, next(initializers))
    return keras.Model(inputs, outputs, name=f"{'resnet' if skip else 'plain'}{depth}")


def from_settings(settings, norm, dataset, depth):
    """The `Task` of a run, see `bnkit.models.from_settings`."""
    return classification(
        resnet(
            norm,
            depth=depth,
            width=settings.width,
            classes=dataset.classes,
            input_shape=dataset.input_shape,
            skip=settings.skip,
            norm_place=settings.norm_place,
            activation=settings.activation,
            seed=settings.seed,
        ),
        settings.label_smoothing,
    )


class _Stages:
    """Makes the layers of one stage after the other, and counts them."""

    def __init__(self, factory, initializers, activation):
        self._factory, self._initializers = factory, initializers
        self._activation = activation
        self._index = 0

    def convolved(self, x, channels, stride=1):
        self._index += 1
        layer = keras.layers.Conv2D(
            channels,
            3,
            strides=stride,
            padding="same",
            data_format=DATA_FORMAT,
            kernel_initializer=next(self._initializers),
            name=f"conv{self._index}",
        )
        return weigh(x, layer, self._factory, f"norm{self._index}")

    def normed(self, x):
        return normalise(x, self._factory, f"norm{self._index}")

    def activated(self, x):
        name = f"{self._activation}{self._index}"
        return keras.layers.Activation(self._activation, name=name)(x)


def _post_block(stages, start, channels, stride, add):
    """He et al. (2016, arXiv 1603.05027), Fig 4a: non-linearities follow the sum."""
    x = stages.activated(stages.normed(stages.convolved(start, channels, stride)))
    x = stages.normed(stages.convolved(x, channels))
    return stages.activated(add(x, start))


def _pre_block(stages, start, channels, stride, add):
    """Ibid., Fig 4e: nothing follows the sum, the skip connections lead from end to end."""
    x = stages.activated(stages.normed(start))
    x = stages.convolved(x, channels, stride)
    x = stages.convolved(stages.activated(stages.normed(x)), channels)
    return add(x, start)


def _with_skip(x, start, number):
    """The sum of a block's last layer and of what the block began with, in the shape of the former.

    Where the shapes differ, every second position is taken, and zeros stand for the channels that
    are missing, half of them before the others.
    """
    if start.shape[1:3] != x.shape[1:3]:
        start = keras.layers.AveragePooling2D(
            1, strides=2, data_format=DATA_FORMAT, name=f"subsample{number}"
        )(start)
    missing = x.shape[-1] - start.shape[-1]
    if missing:
        # Keras pads the last two axes of what it takes for channels first: width and channels.
        start = keras.layers.ZeroPadding2D(
            ((0, 0), (missing // 2, missing - missing // 2)),
            data_format="channels_first",
            name=f"pad{number}",
        )(start)
    return keras.layers.Add(name=f"add{number}")([x, start])
