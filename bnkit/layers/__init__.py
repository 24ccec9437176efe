"""Normalisation layers by name, each a factory of Keras layers."""

import functools
import importlib
import inspect

# Name -> module, class, arguments. Found on first use: the names are wanted by `--help`, which
# must not load TensorFlow.
_LAYERS = {
    "none": None,
    "bn": ("batch_norm", "BatchNorm", {}),
    "noisy_bn": ("noise", "NoisyBatchNorm", {}),
    "noisy_none": ("noise", "CovariateNoise", {}),
    "l1": ("lp_norm", "LpNorm", {"p": 1}),
    "l2": ("lp_norm", "LpNorm", {"p": 2}),
    "linf": ("lp_norm", "LpNorm", {"p": "inf"}),
    "layer": ("comparators", "LayerNorm", {}),
    "group": ("comparators", "GroupNorm", {}),
    "instance": ("comparators", "InstanceNorm", {}),
    "rms": ("comparators", "RMSNorm", {}),
    "weight": ("weight_norm", "WeightNorm", {}),
}


def names():
    """All names that `get` knows, in the order in which they are listed to users."""
    return tuple(_LAYERS)


def get(name):
    """The factory `factory(**overrides) -> keras.Layer` of a normalisation; None for "none".

    Besides `names()`, `name` may be `package.module:Class`: a Keras layer class, or a function
    that takes `name=` and returns a layer, from the user's own code. The factory of a
    `keras.layers.Wrapper`, such as that of "weight", takes the weight layer to wrap first.

    >>> get("bn")(epsilon=1e-3).epsilon
    0.001

    Raises:
        ValueError: for a name that is not known, or a path that does not lead to a layer.
    """
    if ":" in name:
        return _load(name)
    if name not in _LAYERS:
        raise ValueError(
            f"`norm` must be one of {', '.join(names())}, or package.module:Class. "
            f"Received: norm={name!r}"
        )
    if _LAYERS[name] is None:
        return None
    module, attribute, arguments = _LAYERS[name]
    return functools.partial(_attribute(module, attribute), **arguments)


def check(name):
    """Checks that a name leads to layers, by making one of the user's own.

    What is called is what says that it makes layers: a layer class, or a function of `name`.

    Raises:
        ValueError: As `get`; for a class or function that makes no layer.
    """
    import keras

    factory = get(name)
    if ":" not in name:
        return
    if not isinstance(factory, type) and not _takes_name(factory):
        raise ValueError(
            "`norm` must lead to a Keras layer class, or to a function that takes `name=` and "
            f"returns a layer. Received: norm={name!r}, whose argument is not `name`"
        )
    wrapped = [keras.layers.Dense(1)] if wraps(factory) else []
    try:
        made = factory(*wrapped, name="norm")
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"`norm` cannot make a layer: {type(error).__name__}: {error}. Received: norm={name!r}"
        ) from error
    if not isinstance(made, keras.Layer):
        raise ValueError(
            f"`norm` must return a Keras layer. Received: norm={name!r}, which returned a "
            f"{type(made).__name__}"
        )


def synchronized(factory):
    """The factory with statistics of the global batch; as it is where there are none to share."""
    from bnkit.layers.normalization import Normalization

    if _makes(factory, Normalization):
        return functools.partial(factory, synchronized=True)
    return factory


def wraps(factory):
    """Whether the factory's layer wraps the weight layer, as "weight" does, or follows it."""
    import keras

    return _makes(factory, keras.layers.Wrapper)


def _makes(factory, kind):
    made = getattr(factory, "func", factory)
    return isinstance(made, type) and issubclass(made, kind)


def _load(path):
    """The layer class or function at `package.module:Class`."""
    import keras

    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        # Whatever the user's module raises while it is imported is what they need to see.
        raise ValueError(
            f"`norm` cannot be imported: {type(error).__name__}: {error}. Received: norm={path!r}"
        ) from error
    is_layer = isinstance(found, type) and issubclass(found, keras.Layer)
    if not is_layer and (isinstance(found, type) or not callable(found)):
        raise ValueError(
            "`norm` must lead to a Keras layer class, or to a function that makes a layer. "
            f"Received: norm={path!r}, a {type(found).__name__}"
        )
    return found


def _takes_name(function):
    """Whether a function can be called with `name=` alone."""
    try:
        inspect.signature(function).bind(name="norm")
    except (TypeError, ValueError):  # Other arguments; or one of C, which does not tell its own.
        return False
    return True


def _attribute(module, name):
    # With one layer all are registered, so that Keras opens a saved model that holds any of them.
    importlib.import_module(f"{__name__}.registered")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __getattr__(name):
    for module, attribute, _ in filter(None, _LAYERS.values()):
        if attribute == name:
            return _attribute(module, attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
