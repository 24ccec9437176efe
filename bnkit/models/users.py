"""A network of the user's own, made by a function at `package.module:function`."""

import importlib
import inspect

import keras

from bnkit import further_arguments, layers
from bnkit.models.task import classification


def from_settings(settings, norm, dataset):
    """The `Task` of a run, see `bnkit.models.from_settings`."""
    model = build(
        settings.model,
        norm,
        dataset.input_shape,
        dataset.classes,
        settings.seed,
        further_arguments.parse(settings.model_args or ""),
    )
    return classification(model, settings.label_smoothing)


def build(path, norm, input_shape, classes, seed, arguments):
    """What the function at the path makes, once it is sure that it can be trained and compared.

    Args:
        path: `package.module:function`. The function takes `norm`, `input_shape`, `classes`, `seed`
            and the arguments, and returns a `keras.Model` from `[batch, *input_shape]` to logits
            `[batch, classes]`.
        norm: A factory of normalisations, or None for none.
        input_shape: Of one sample.
        classes: Number of classes.
        seed: Of the initial weights.
        arguments: Further arguments of the function, a dict.

    Raises:
        ValueError: For a path that does not lead to such a function; if what it makes does not fit
            the data, or has no layer that `norm` made; for a normalisation that wraps weight
            layers.
    """
    received = f"Received: model={path!r}"
    if norm is not None and layers.wraps(norm):
        raise ValueError(
            "The normalisation wraps weight layers, and how a model of your own makes its weight "
            f"layers is not known here: choose one that is a layer of its own. {received}"
        )
    recorder = None if norm is None else _Recorder(norm)
    given = {"norm": recorder, "input_shape": input_shape, "classes": classes, "seed": seed}
    function = _load(path, given | arguments)
    try:
        model = function(**given, **arguments)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"`model` cannot make a network: {type(error).__name__}: {error}. {received}"
        ) from error
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must return a keras.Model. {received}, which returned a "
            f"{type(model).__name__}"
        )
    _check_outputs(model, input_shape, classes, received)
    if recorder is not None and not recorder.made & set(map(id, model._flatten_layers())):
        raise ValueError(
            "`model` must have layers that its argument `norm` makes, or be compared with "
            f"norm=none alone. {received}, which has none of them"
        )
    return model


def _load(path, arguments):
    """The function at `package.module:function`, once it is sure that it takes the arguments.

    What does not take them is not called: it may do anything.
    """
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        # Whatever the user's module raises while it is imported is what they need to see.
        raise ValueError(
            f"`model` cannot be imported: {type(error).__name__}: {error}. Received: model={path!r}"
        ) from error
    if not callable(found):
        raise ValueError(
            "`model` must lead to a function (norm, input_shape, classes, seed, ...) that makes a "
            f"keras.Model. Received: model={path!r}, a {type(found).__name__}"
        )
    try:
        inspect.signature(found).bind(**arguments)
    # A function of C may not tell what it takes.
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`model` must take {', '.join(arguments)}: {error}. Received: model={path!r}"
        ) from error
    return found


def _check_outputs(model, input_shape, classes, received):
    """Builds the model, if it is not, and checks that it gives logits."""
    try:
        outputs = model(keras.Input(input_shape))
    except Exception as error:
        raise ValueError(
            f"`model` cannot take inputs of shape {(None, *input_shape)}: "
            f"{type(error).__name__}: {error}. {received}"
        ) from error
    shape = getattr(outputs, "shape", f"a {type(outputs).__name__}")
    if shape != (None, classes):
        raise ValueError(
            f"`model` must give logits of shape {(None, classes)}, one for each class. {received}, "
            f"which gives {shape}"
        )
    if not model.trainable_variables:
        raise ValueError(f"`model` must have trainable weights. {received}, which has none")


class _Recorder:
    """A factory that keeps in mind which layers it has made."""

    def __init__(self, factory):
        self._factory = factory
        self._layers = []

    def __call__(self, *arguments, **keywords):
        layer = self._factory(*arguments, **keywords)
        self._layers.append(layer)
        return layer

    @property
    def made(self):
        """The `id` of every layer made so far."""
        return set(map(id, self._layers))
