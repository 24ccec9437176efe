"""Networks of the user's own: what is made of them, and what is refused."""

import functools
import types

import keras
import numpy as np
import pytest

from bnkit import Settings, layers, models
from bnkit.layers import BatchNorm
from bnkit.models import users

MODELS = "users_package.models"


def build(attribute, norm="bn", input_shape=(4, 4, 2), classes=3, seed=0, **arguments):
    return users.build(
        f"{MODELS}:{attribute}", layers.get(norm), input_shape, classes, seed, arguments
    )


def test_the_function_gets_what_it_needs():
    model = build("small", units=5, name="mine")
    assert model.name == "mine" and model.output_shape == (None, 3)
    assert isinstance(model.get_layer("after"), BatchNorm)
    assert model.layers[2].kernel.shape == (32, 5)
    expected = keras.initializers.GlorotUniform(0)((32, 5))
    np.testing.assert_array_equal(model.layers[2].kernel, expected)


def test_without_a_normalisation_it_gets_none():
    assert not any(isinstance(layer, BatchNorm) for layer in build("small", "none").layers)
    assert build("ignoring", "none").count_params() == build("small", "none").count_params()


@pytest.mark.parametrize("name", ["subclassed", "sequential"])
def test_models_of_every_make_are_built(name):
    model = build(name)
    assert model.built and len(model.trainable_variables) == 6
    assert np.isfinite(model(np.ones((2, 4, 4, 2)), training=True)).all()


def test_settings_reach_it():
    settings = Settings(model=f"{MODELS}:small", model_args="units=7", seed=4)
    dataset = types.SimpleNamespace(classes=3, input_shape=(4, 4, 2))
    norm = functools.partial(BatchNorm, epsilon=0.5)
    model, loss_fn, metrics = models.from_settings(settings, norm, dataset)
    assert model.layers[2].kernel.shape == (32, 7) and model.get_layer("after").epsilon == 0.5
    np.testing.assert_array_equal(
        model.layers[2].kernel, keras.initializers.GlorotUniform(4)((32, 7))
    )
    assert isinstance(loss_fn, keras.losses.SparseCategoricalCrossentropy)
    assert list(metrics) == ["accuracy"]


@pytest.mark.parametrize("norm", ["weight", "users_package.norms:Scaled"])
def test_a_normalisation_that_wraps_weight_layers_is_refused(norm):
    with pytest.raises(ValueError, match="wraps weight layers, and how a model of your own"):
        build("small", norm)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ignoring", r"layers that its argument `norm` makes, or be .* norm=none alone"),
        ("unused", r"layers that its argument `norm` makes"),
        ("raising", r"cannot make a network: RuntimeError: no network today\. Received: model='u"),
        ("leaving", r"cannot make a network: SystemExit: 3"),
        ("layer", r"must return a keras\.Model\. Received: .*:layer', which returned a Dense"),
        ("wide", r"logits of shape \(None, 3\), one for each class\. .* gives \(None, 4\)"),
        ("pair", r"logits of shape \(None, 3\), .*which gives a list"),
        ("of_vectors", r"cannot take inputs of shape \(None, 4, 4, 2\): ValueError: "),
        ("weightless", r"must have trainable weights"),
        ("constant", r"must lead to a function \(norm, .*models:constant', a int"),
        ("missing", r"cannot be imported: AttributeError: .*'missing'"),
    ],
)
def test_what_does_not_make_a_network_for_the_data_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        build(name, "none" if name == "weightless" else "bn")


@pytest.mark.parametrize("path", ["os:system", "builtins:dict", "builtins:print", "os:abort"])
def test_what_does_not_take_the_arguments_is_not_called(path):
    with pytest.raises(ValueError, match=f"must take norm, input_shape, classes, seed: .*'{path}'"):
        users.build(path, None, (4, 4, 2), 3, 0, {})


def test_arguments_that_it_does_not_take_are_named():
    with pytest.raises(ValueError, match=r"take norm, .*, seed, depth: .*'depth'\. Received: mo"):
        build("small", depth=3)


def test_a_check_leaves_the_names_of_layers_as_they_were():
    """A run has the same names, whether it was checked in its process or not."""
    models.check(Settings(model=f"{MODELS}:small"), (4, 4, 2), 3)
    assert keras.layers.Dense(1).name == "dense"
    with pytest.raises(ValueError, match="no network today"):
        models.check(Settings(model=f"{MODELS}:raising"), (4, 4, 2), 3)
    models.check(Settings(), (4,), 3)
