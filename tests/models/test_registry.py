"""Every model of the registry is built from its settings, with its loss and metrics."""

import types

import keras
import numpy as np
import pytest

from bnkit import Settings, families, layers, models
from bnkit.losses import HalfSquaredError

IMAGES = types.SimpleNamespace(classes=7, input_shape=(8, 8, 1))
GAUSSIAN = types.SimpleNamespace(classes=None, input_shape=(4,))


def made(model, norm="bn", **chosen):
    settings = Settings(model=model, seed=3, **chosen)
    is_images = families.get(model).data is families.Data.IMAGES
    factory = layers.get(norm)
    return models.from_settings(settings, factory, IMAGES if is_images else GAUSSIAN)


def test_settings_reach_a_vgg():
    task = made("vgg16", width=1 / 64, activation="elu")
    expected = models.vgg(
        "bn", 16, 1 / 64, classes=7, input_shape=(8, 8, 1), activation="elu", seed=3
    )
    assert_equal(task.model, expected)
    assert isinstance(task.loss_fn, keras.losses.SparseCategoricalCrossentropy)
    assert list(task.metrics) == ["accuracy"]


@pytest.mark.parametrize("chosen", [{"skip": False}, {"norm_place": "pre"}, {"activation": "elu"}])
def test_settings_reach_a_residual_network(chosen):
    task = made("resnet32", width=1 / 16, **chosen)
    expected = models.resnet("bn", 32, 1 / 16, classes=7, input_shape=(8, 8, 1), seed=3, **chosen)
    assert_equal(task.model, expected)


@pytest.mark.parametrize("place", ["pre", "post"])
def test_settings_reach_a_vision_transformer(place):
    task = made("vit_tiny", "layer", width=1 / 16, norm_place=place, activation="relu")
    expected = models.vision_transformer(
        "layer", 4, 1 / 16, 7, (8, 8, 1), norm_place=place, activation="relu", seed=3
    )
    assert_equal(task.model, expected)


@pytest.mark.parametrize("shape", [(8, 8, 1), (6,)])
def test_settings_reach_a_perceptron(shape):
    settings = Settings(model="mlp", depth=3, width=1 / 64, activation="selu", seed=3)
    dataset = types.SimpleNamespace(classes=7, input_shape=shape)
    task = models.from_settings(settings, layers.get("bn"), dataset)
    expected = models.perceptron("bn", 3, 1 / 64, 7, shape, activation="selu", seed=3)
    assert_equal(task.model, expected)


@pytest.mark.parametrize("norm_last", [False, True])
def test_settings_reach_the_deep_linear_network(norm_last):
    task = made("dln", "l1", width=4, depth=5, norm_last=norm_last)
    assert_equal(task.model, models.deep_linear("l1", 5, 4, norm_last=norm_last, seed=3))
    assert isinstance(task.loss_fn, HalfSquaredError) and task.metrics == {}


def assert_equal(model, expected):
    assert model.name == expected.name
    assert [layer.name for layer in model.layers] == [layer.name for layer in expected.layers]
    for got, want in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(got, want, err_msg=want.path)


@pytest.mark.parametrize("name", families.MODELS)
def test_every_model_maps_its_data_to_what_its_loss_takes(name):
    """A finite loss, whose gradient reaches every trainable variable."""
    chosen = {"width": 0.02} if families.get(name).data is families.Data.IMAGES else {"width": 4}
    model, loss_fn, metrics = made(name, "none", **chosen)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, *model.input_shape[1:])).astype("float32")
    is_regression = families.get(name).data is families.Data.GAUSSIAN
    y = x if is_regression else rng.integers(0, 7, 6)
    outputs = model(x, training=True)
    assert np.isfinite(float(loss_fn(y, outputs)))
    assert ("accuracy" in metrics) != is_regression
    assert all(metric(y, outputs).shape == (6,) for metric in metrics.values())


@pytest.mark.parametrize("norm", layers.names())
@pytest.mark.parametrize("name", ["resnet20", "vit_tiny", "mlp"])
def test_every_family_takes_every_normalisation(name, norm):
    """Logits are finite; a normalisation follows each weight layer, or begins each branch."""
    task = made(name, norm, width=0.05)
    x = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype("float32")
    assert np.isfinite(task.model(x, training=True)).all()
    norms = [layer.name for layer in task.model.layers if layer.name.startswith("norm")]
    wrapped = {"resnet20": 19, "vit_tiny": 25, "mlp": 4}
    followed = {**wrapped, "vit_tiny": 9}
    counts = {"none": dict.fromkeys(wrapped, 0), "weight": wrapped}
    assert len(norms) == counts.get(norm, followed)[name]
