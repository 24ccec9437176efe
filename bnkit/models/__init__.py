"""The networks, as functional Keras models around any normalisation: a file for each family."""

import importlib
import types

from bnkit import families, layers
from bnkit.layers import registered as _registered  # noqa: F401  so that saved models open
from bnkit.models.deep_linear import deep_linear
from bnkit.models.perceptron import perceptron
from bnkit.models.resnet import resnet
from bnkit.models.task import Task
from bnkit.models.vgg import vgg
from bnkit.models.vision_transformer import vision_transformer

__all__ = [
    "Task",
    "check",
    "deep_linear",
    "from_settings",
    "perceptron",
    "resnet",
    "vgg",
    "vision_transformer",
]


def check(settings, input_shape, classes):
    """Checks that the network of the settings can be made, if it is one of the user's own.

    It is made to be looked at, and with it Keras's names of layers: afterwards they begin anew.

    Args:
        settings: `bnkit.Settings`.
        input_shape: Of one sample of the data.
        classes: Number of classes of the data.

    Raises:
        ValueError: With the reason why not.
    """
    if not families.is_users(settings.model):
        return
    import keras

    dataset = types.SimpleNamespace(input_shape=input_shape, classes=classes)
    from_settings(settings, layers.get(settings.norm), dataset)
    keras.utils.clear_session()


def from_settings(settings, norm, dataset):
    """The network that a run trains, with its loss and metrics.

    Args:
        settings: `bnkit.Settings`.
        norm: A factory `factory(name=...) -> Layer`, or None for none.
        dataset: What it trains on, as from `bnkit.data.load`.

    Returns:
        A `Task`.
    """
    entry = families.get(settings.model)
    family = importlib.import_module(f"{__name__}.{entry.family}")
    return family.from_settings(settings, norm, dataset, **entry.variant)
