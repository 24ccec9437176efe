"""The networks, as functional Keras models around any normalisation: a file for each family."""

import importlib

from bnkit import families
from bnkit.layers import registered as _registered  # noqa: F401  so that saved models open
from bnkit.models.deep_linear import deep_linear
from bnkit.models.mlp import mlp
from bnkit.models.resnet import resnet
from bnkit.models.task import Task
from bnkit.models.vgg import vgg

__all__ = ["Task", "deep_linear", "from_settings", "mlp", "resnet", "vgg"]


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
