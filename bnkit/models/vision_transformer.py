"""Vision transformers for small images."""

import functools
import math

import keras

from bnkit.layers import comparators
from bnkit.models.attention import Attention
from bnkit.models.classifier import DATA_FORMAT, check_images, check_width, logits, scaled
from bnkit.models.positions import SineCosinePositions
from bnkit.models.stage import factory_of, glorot_uniform, normalise, weigh
from bnkit.models.task import classification

# Pixels on each side of a patch.
_PATCH = 4
_HEADS = 4
# Channels of a head.
_CHANNELS = 16
# Units of the hidden layer of a block, for each channel of a token.
_EXPANSION = 4
# Weight layers of a block: query, key, value, project, dense, dense.
_OF_BLOCK = 6
_PLACES = ("post", "pre")


def vision_transformer(
    norm="layer",
    blocks=4,
    width=1.0,
    classes=10,
    input_shape=(32, 32, 3),
    *,
    norm_place="pre",
    activation="gelu",
    seed=None,
):
    """A vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) for small images.

    A dense layer on patches of 4x4 pixels, blocks of attention in 4 heads and of two dense layers,
    the mean over all tokens, logits: the plain form of Beyer et al. (2022, arXiv 2205.01580), whose
    positions are sines and cosines. A token has 64 channels. Images are filled up with zeros to a
    multiple of 4 pixels.

    Layers are named by stage, weight layers counted from 1 in forward order, and a normalisation
    after the last weight layer before it: `dense1 norm1 query2 key3 value4 attention4 project5 add1
    norm5 dense6 gelu6 dense7 add2 norm7 query8 ... logits`. With `norm_place="pre"` a normalisation
    stands at the beginning of every branch, and one before the mean; with "post" it stands after
    every sum, and one after the positions (Xiong et al. 2020, arXiv 2002.04745): they have the same
    names and as many weights.

    A normalisation gets `[batch, tokens, channels]`. Those over the batch take statistics over
    batch and tokens, as over batch and positions of an image; `layer` takes those of each token, as
    in every transformer. All weight layers keep their bias in every arm. Weights are Glorot
    uniform.

    Args:
        norm: As for `bnkit.models.vgg`.
        blocks: Number of blocks.
        width: Multiplies the channels of a head, and so those of a token and the hidden units.
        classes: Number of logits.
        input_shape: `(height, width, channels)`, at least 1x1, channels last.
        norm_place: "pre" or "post".
        activation: Name of the non-linearity between the dense layers of a block.
        seed: As for `bnkit.models.vgg`.

    Returns:
        A `keras.Model` from `[batch, *input_shape]` to float32 logits `[batch, classes]`.

    Raises:
        ValueError: For a number of blocks, width, place or shape that is not valid, an unknown
            normalisation, or one that cannot be built or changes the shape.
    """
    if not (isinstance(blocks, int) and blocks >= 1):
        raise ValueError(f"`blocks` must be an integer >= 1. Received: blocks={blocks!r}")
    if norm_place not in _PLACES:
        raise ValueError(
            f"`norm_place` must be one of {list(_PLACES)}. Received: norm_place={norm_place!r}"
        )
    check_width(width)
    check_images(input_shape)
    initializers = glorot_uniform(seed, 2 + _OF_BLOCK * blocks)
    stages = _Stages(_of_tokens(factory_of(norm)), initializers, activation)
    channels = _HEADS * scaled(_CHANNELS, width)
    inputs = keras.Input(input_shape, name="images")
    patches, grid = _patches(inputs)
    x = SineCosinePositions(grid, name="positions")(stages.dense(patches, channels))
    branches = (_attended, _transformed) * blocks
    if norm_place == "pre":
        for number, branch in enumerate(branches, start=1):
            x = _sum(branch(stages, stages.normed(x), channels), x, number)
        x = stages.normed(x)
    else:
        x = stages.normed(x)
        for number, branch in enumerate(branches, start=1):
            x = stages.normed(_sum(branch(stages, x, channels), x, number))
    x = keras.layers.GlobalAveragePooling1D(data_format=DATA_FORMAT, name="pool")(x)
    outputs = logits(x, classes, next(initializers))
    return keras.Model(inputs, outputs, name="vision_transformer")


def from_settings(settings, norm, dataset):
    """The `Task` of a run, see `bnkit.models.from_settings`."""
    return classification(
        vision_transformer(
            norm,
            width=settings.width,
            classes=dataset.classes,
            input_shape=dataset.input_shape,
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
        self.index = 0

    def dense(self, x, units, kind="dense"):
        self.index += 1
        layer = keras.layers.Dense(
            units, kernel_initializer=next(self._initializers), name=f"{kind}{self.index}"
        )
        return weigh(x, layer, self._factory, f"norm{self.index}")

    def normed(self, x):
        return normalise(x, self._factory, f"norm{self.index}")

    def activated(self, x):
        name = f"{self._activation}{self.index}"
        return keras.layers.Activation(self._activation, name=name)(x)


def _of_tokens(factory):
    """The factory, with a layer normalisation of each token in place of one of the whole sample."""
    made = getattr(factory, "func", factory)
    if made is not comparators.LayerNorm:
        return factory
    arguments = {"epsilon": comparators.EPSILON, **getattr(factory, "keywords", {})}
    return functools.partial(keras.layers.LayerNormalization, **arguments)


def _patches(images):
    """`[batch, tokens, values]`, row by row, and the grid `(rows, columns)` of the tokens."""
    height, width, channels = images.shape[1:]
    rows, columns = math.ceil(height / _PATCH), math.ceil(width / _PATCH)
    missing = rows * _PATCH - height, columns * _PATCH - width
    x = images
    if any(missing):
        padding = [(0, missing[0]), (0, missing[1])]
        x = keras.layers.ZeroPadding2D(padding, data_format=DATA_FORMAT, name="pad")(x)
    x = keras.layers.Reshape((rows, _PATCH, columns, _PATCH, channels), name="split")(x)
    x = keras.layers.Permute((1, 3, 2, 4, 5), name="arrange")(x)
    x = keras.layers.Reshape((rows * columns, _PATCH**2 * channels), name="patches")(x)
    return x, (rows, columns)


def _attended(stages, x, channels):
    query, key, value = (stages.dense(x, channels, kind) for kind in ("query", "key", "value"))
    x = Attention(_HEADS, name=f"attention{stages.index}")(query, key, value)
    return stages.dense(x, channels, "project")


def _transformed(stages, x, channels):
    x = stages.activated(stages.dense(x, _EXPANSION * channels))
    return stages.dense(x, channels)


def _sum(x, start, number):
    return keras.layers.Add(name=f"add{number}")([x, start])
