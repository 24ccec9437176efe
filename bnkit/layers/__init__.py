"""Normalisation layers by name, each a factory of Keras layers."""

import functools
import importlib

# Found on first use: the names are wanted by `--help`, which must not load TensorFlow.
_LAYERS = {
    "none": None,
    "bn": ("bnkit.layers.batch_norm", "BatchNorm"),
}


def names():
    """All names that `get` knows, in the order in which they are listed to users."""
    return tuple(_LAYERS)


def get(name):
    """The factory `factory(**overrides) -> keras.Layer` of a normalisation; None for "none".

    >>> get("bn")(epsilon=1e-3).epsilon
    0.001

    Raises:
        ValueError: for a name that is not registered.
    """
    if name not in _LAYERS:
        raise ValueError(f"`norm` must be one of {', '.join(names())}. Received: norm={name!r}")
    entry = _LAYERS[name]
    if entry is None:
        return None
    module, attribute = entry
    return functools.partial(getattr(importlib.import_module(module), attribute))


def __getattr__(name):
    for entry in filter(None, _LAYERS.values()):
        if entry[1] == name:
            return getattr(importlib.import_module(entry[0]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
