"""Every model by its name: who builds it, what it trains on, and what there is to choose.

What the settings, the experiment, the command and the estimate of time have to agree on about a
model stands here, once. Nothing else knows a model by name. The networks themselves are in
`bnkit.models`, a file for each family.
"""

import dataclasses
import enum
import re
from collections.abc import Callable, Mapping

from bnkit import further_arguments
from bnkit.rules import COUNT, FRACTION, POSITIVE, TRUTH, Rule, is_number, one_of


class Data(enum.Enum):
    """What a model trains on."""

    IMAGES = "images"
    GAUSSIAN = "gaussian"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model.

    Attributes:
        family: The module in `bnkit.models` that builds it.
        summary: What it is, in few words, for `--help`.
        data: What it trains on.
        defaults: Setting -> value where it is not chosen, for those that depend on the model.
        rules: Setting -> what is valid, for those that depend on the model. A setting that only
            other models have a rule for cannot be chosen with this one.
        timing_steps: Steps between two measurements in the short runs that a long one's time is
            estimated from: enough of them to outweigh what surrounds them.
        least_bytes: Called with settings; bytes of memory that a run needs at the very least, by
            the setting that they grow with.
        variant: Arguments of the family's `from_settings` that tell it from the others.
        takes_vectors: Whether it takes vectors, too, and not images alone.
    """

    family: str
    summary: str
    data: Data
    defaults: Mapping
    rules: Mapping
    timing_steps: int
    least_bytes: Callable
    variant: Mapping = dataclasses.field(default_factory=dict)
    takes_vectors: bool = False


def _may_be_split(value):
    return value is None or (isinstance(value, str) and bool(value.strip()))


AUGMENTATIONS = ("crop", "flip")


def _are_augmentations(value):
    return isinstance(value, tuple) and all(
        name in AUGMENTATIONS and value.count(name) == 1 for name in value
    )


_SPLIT = Rule(_may_be_split, "a TFDS split expression, such as train[:90%]")


def _may_be_count(value):
    return value is None or COUNT.accepts(value)


def _names_images(value):
    return isinstance(value, str) and bool(value.strip()) and value != Data.GAUSSIAN.value


# What all models that classify images have in common.
_OF_CLASSIFIERS = {
    "lr": 0.1,
    "dataset": "glyphs",
    "batch_size": 128,
    "steps": 500,
    # Half to four times the study's learning rate 0.1 (Fig 4), the same for every arm.
    "step_sizes": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4),
    "probe_every": 25,
    "eval_every": 50,
}
_ON_IMAGES = {
    "dataset": Rule(
        _names_images, "glyphs, the name of a TFDS image classification set, or a path"
    ),
    "train_split": _SPLIT,
    "test_split": _SPLIT,
    "augment": Rule(
        _are_augmentations, f"a list out of {', '.join(AUGMENTATIONS)}, each at most once"
    ),
    "label_smoothing": FRACTION,
    "image_size": Rule(_may_be_count, "a whole number of pixels >= 1"),
}
_NON_LINEARITIES = one_of(("relu", "elu", "selu", "gelu"))
_PLACES = one_of(("post", "pre"))


def _bytes_of_vgg(settings):
    """Three of its convolutions have 512 * width channels before and after them.

    Each has float32 weights with a gradient, and gives at least one position to every sample.
    """
    channels = max(1, round(512 * settings.width))
    return {
        "width": 3 * 2 * 4 * 9 * channels**2,
        "batch_size": 3 * 4 * channels * settings.batch_size,
    }


def _vgg(depth):
    return Entry(
        family="vgg",
        summary=f"VGG with {depth} weight layers, `width` times as wide",
        data=Data.IMAGES,
        defaults={**_OF_CLASSIFIERS, "width": 0.25, "activation": "relu"},
        rules={**_ON_IMAGES, "width": POSITIVE, "activation": _NON_LINEARITIES},
        timing_steps=5,
        least_bytes=_bytes_of_vgg,
        variant={"depth": depth},
    )


def _bytes_of_resnet(settings):
    """Weights with a gradient of the convolutions of its last stage, three at least.

    For every sample, the inputs of four convolutions at one position.
    """
    channels = max(1, round(64 * settings.width))
    return {
        "width": 3 * 2 * 4 * 9 * channels**2,
        "batch_size": 4 * 4 * channels * settings.batch_size,
    }


def _resnet(depth):
    return Entry(
        family="resnet",
        summary=f"ResNet with {depth} weight layers, `width` times as wide",
        data=Data.IMAGES,
        defaults={
            **_OF_CLASSIFIERS,
            "width": 0.5,
            "skip": True,
            "norm_place": "post",
            "activation": "relu",
        },
        rules={
            **_ON_IMAGES,
            "width": POSITIVE,
            "skip": TRUTH,
            "norm_place": _PLACES,
            "activation": _NON_LINEARITIES,
        },
        timing_steps=5,
        least_bytes=_bytes_of_resnet,
        variant={"depth": depth},
    )


def _bytes_of_transformer(settings):
    """Weights with a gradient of the dense layers of its four blocks.

    For every sample, at one token at least, the inputs of a block's three dense layers of 1, 1 and
    4 times the channels of a token.
    """
    channels = 4 * max(1, round(16 * settings.width))
    return {
        "width": 4 * 2 * 4 * 12 * channels**2,
        "batch_size": 4 * 6 * 4 * channels * settings.batch_size,
    }


_TRANSFORMER = Entry(
    family="vision_transformer",
    summary="vision transformer of 4 blocks, `width` times as wide",
    data=Data.IMAGES,
    defaults={**_OF_CLASSIFIERS, "width": 0.5, "norm_place": "pre", "activation": "gelu"},
    rules={
        **_ON_IMAGES,
        "width": POSITIVE,
        "norm_place": _PLACES,
        "activation": _NON_LINEARITIES,
    },
    timing_steps=5,
    least_bytes=_bytes_of_transformer,
)


def _bytes_of_perceptron(settings):
    """Weights with a gradient of the layers between two hidden ones; the inputs of all layers."""
    units, between = max(1, round(512 * settings.width)), max(0, settings.depth - 2)
    weights = 2 * 4 * between * units**2
    return {
        "depth" if between > units else "width": weights,
        "batch_size": 4 * (settings.depth - 1) * units * settings.batch_size,
    }


_PERCEPTRON = Entry(
    family="perceptron",
    summary="`depth` dense layers, of 512 times `width` units",
    data=Data.IMAGES,
    defaults={**_OF_CLASSIFIERS, "width": 0.25, "depth": 5, "activation": "relu"},
    rules={**_ON_IMAGES, "width": POSITIVE, "depth": COUNT, "activation": _NON_LINEARITIES},
    timing_steps=5,
    least_bytes=_bytes_of_perceptron,
    takes_vectors=True,
)


def _bytes_of_deep_linear(settings):
    """Inputs and targets for training and testing; weights with a gradient; inputs of every layer.

    All in float32.
    """
    units, depth = int(settings.width), settings.depth
    data = 4 * 4 * units * settings.samples
    inputs = 4 * depth * units * settings.batch_size
    weights = 2 * 4 * depth * units**2
    needs = {"depth" if depth > units else "width": weights}
    if settings.batch_size == settings.samples:
        return needs | {"samples": data + inputs}
    return needs | {"samples": data, "batch_size": inputs}


_DEEP_LINEAR = Entry(
    family="deep_linear",
    summary="deep linear network: `depth` layers of `width` units",
    data=Data.GAUSSIAN,
    defaults={
        "lr": 1e-6,
        "width": 10.0,
        "depth": 25,
        "activation": "linear",
        "dataset": "gaussian",
        "samples": 1000,
        "steps": 10_000,
        # A hundredth to thirty times the study's learning rate 1e-6 (Fig 10), evenly in its
        # logarithm.
        "step_sizes": (1e-8, 3e-8, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5),
        "probe_every": 100,
        "eval_every": 500,
    },
    rules={
        "width": Rule(
            lambda value: is_number(value) and value == int(value) >= 1,
            "a whole number >= 1 with model=dln",
        ),
        "depth": COUNT,
        "norm_last": TRUTH,
        "activation": Rule(lambda value: value == "linear", "linear with model=dln"),
        "dataset": Rule(lambda value: value == Data.GAUSSIAN.value, "gaussian with model=dln"),
        "samples": COUNT,
    },
    timing_steps=100,
    least_bytes=_bytes_of_deep_linear,
)


def _bytes_of_users(settings):
    """A float32 logit for every sample, and its gradient: all that is known."""
    return {"batch_size": 2 * 4 * settings.batch_size}


def _may_be_arguments(value):
    return value is None or isinstance(value, str)


# A function of the user's own, at a path.
_USERS = Entry(
    family="users",
    summary="your own function: (norm, input_shape, classes, seed, ...) -> keras.Model",
    data=Data.IMAGES,
    defaults=_OF_CLASSIFIERS,
    rules={**_ON_IMAGES, "model_args": Rule(_may_be_arguments, further_arguments.VALID)},
    timing_steps=5,
    least_bytes=_bytes_of_users,
    takes_vectors=True,
)
# What stands for all of them.
PATH = "package.module:function"

# Name -> model, in the order of `--help`.
MODELS = {
    **{f"vgg{depth}": _vgg(depth) for depth in (11, 13, 16, 19)},
    **{f"resnet{depth}": _resnet(depth) for depth in (20, 32, 56)},
    "vit_tiny": _TRANSFORMER,
    "mlp": _PERCEPTRON,
    "dln": _DEEP_LINEAR,
}
# Every setting whose rule depends on the model.
DEPENDENT = tuple(
    dict.fromkeys(name for entry in (*MODELS.values(), _USERS) for name in entry.rules)
)


def is_users(name):
    """Whether this is the path of a function of the user's own."""
    return isinstance(name, str) and bool(re.fullmatch(r"[\w.]+:\w+", name))


def is_known(name):
    """Whether there is a model of this name, or may be at this path."""
    return is_users(name) or name in tuple(MODELS)


def get(name):
    """The `Entry` of a model, by its name or path.

    Raises:
        KeyError: for a name that is not known.
    """
    return _USERS if is_users(name) else MODELS[name]


def models_with(setting):
    """Names of the models that have a rule for a setting, `PATH` for the user's own."""
    entries = {**MODELS, PATH: _USERS}
    return tuple(name for name, entry in entries.items() if setting in entry.rules)
