"""A weight layer and the normalisation after it: names, the user's own layers, initial weights."""

import itertools

import keras
import numpy as np
import pytest

from bnkit import layers, models
from bnkit.layers import BatchNorm
from bnkit.models.stage import factory_of, glorot_uniform, normalised

NORMS = "users_package.norms"


def small(norm, **options):
    return models.vgg(norm, **{"width": 1 / 64, "input_shape": (8, 8, 1), **options})


def test_a_factory_of_the_users_own_is_given_the_stages_name():
    made = []

    def factory(name):
        made.append(name)
        return BatchNorm(epsilon=0.5, name=name)

    model = small(factory)
    assert made == [f"norm{i}" for i in range(1, 11)]
    assert model.get_layer("norm4").epsilon == 0.5


@pytest.mark.parametrize("attribute", ["Halve", "halve"])
def test_a_layer_of_the_users_own_by_its_path(attribute):
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1))
    model, plain = small(f"{NORMS}:{attribute}", seed=1), small("none", seed=1)
    norms = [layer for layer in model.layers if layer.name.startswith("norm")]
    assert [layer.name for layer in norms] == [f"norm{i}" for i in range(1, 11)]
    assert {type(layer).__name__ for layer in norms} == {"Halve"}
    # Ten halves, and ReLU lets a factor through; biases are 0. All of it exact in binary.
    np.testing.assert_array_equal(model(x) * np.float32(2**10), plain(x))


def test_a_wrapper_of_the_users_own_gets_the_weight_layer():
    model, plain = small(f"{NORMS}:Scaled", seed=1), small("none", seed=1)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1))
    assert model.get_layer("norm3").layer.name == "conv3"
    np.testing.assert_array_equal(model(x), plain(x) * np.float32(2**10))


def test_a_layer_of_keras_by_its_path():
    model = small("keras.layers:LayerNormalization")
    assert type(model.get_layer("norm4")) is keras.layers.LayerNormalization


@pytest.mark.parametrize(
    "attribute, message",
    [
        ("Unbuildable", r"norm1 cannot be built .* \(None, 8, 8, 1\): RuntimeError: no such shape"),
        ("Picky", r"norm1 cannot be built .*TypeError: .*units"),
        ("nothing", r"norm1 cannot be built .*TypeError"),
        ("nameless", r"norm1 cannot be built .*TypeError: .*name"),
        (
            "Flattening",
            r"norm1 must give one tensor of shape \(None, 8, 8, 1\)\. Received: .*\(None, 64\)",
        ),
        ("Pair", r"norm1 must give one tensor of shape \(None, 8, 8, 1\)\. Received: a tuple"),
    ],
)
def test_a_layer_of_the_users_own_that_does_not_fit(attribute, message):
    with pytest.raises(ValueError, match=message):
        small(f"{NORMS}:{attribute}")


def test_a_norm_is_a_name_a_factory_or_none():
    factory = keras.layers.LayerNormalization
    assert factory_of(factory) is factory and factory_of(None) is factory_of("none") is None
    assert factory_of("bn").func is layers.get("bn").func is BatchNorm


def test_initial_weights_follow_from_seed_and_position():
    """Uniform in +-sqrt(6 / (fan in + fan out)), here +-sqrt(6 / 90)."""
    one, again, other = (
        [np.asarray(draw((40, 50))) for draw in glorot_uniform(seed, 3)] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    limit = np.sqrt(6 / 90)
    assert all(0.99 * limit < np.abs(draw).max() <= limit for draw in one)
    draws = [*one, *other]
    assert all(np.abs(a - b).max() > 0.01 for a, b in itertools.combinations(draws, 2))


def test_without_a_normalisation_there_is_the_weight_layer_alone():
    x, dense = keras.Input((3,)), keras.layers.Dense(2, name="dense1")
    model = keras.Model(x, normalised(x, dense, None, "norm1"))
    assert [layer.name for layer in model.layers][1:] == ["dense1"]
