"""The names of the normalisations, and the contract that every one of them keeps."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from bnkit import layers
from bnkit.layers.batch_norm import BatchNorm

NAMES = [name for name in layers.names() if name != "none"]


def test_names_are_unique_and_hold_the_two_arms_of_the_study():
    assert len(set(layers.names())) == len(layers.names())
    assert {"none", "bn"} <= set(layers.names())


def test_none_is_no_layer():
    assert layers.get("none") is None


def test_a_factory_passes_its_arguments_on():
    layer = layers.get("bn")(epsilon=0.125, momentum=0.5, name="norm1")
    assert type(layer) is BatchNorm
    assert (layer.epsilon, layer.momentum, layer.name) == (0.125, 0.5, "norm1")


def test_a_factory_makes_a_new_layer_each_time():
    factory = layers.get("bn")
    assert factory() is not factory()


@pytest.mark.parametrize("name", ["batchnorm", "", "BN"])
def test_an_unknown_name_is_an_error_that_lists_the_valid_ones(name):
    with pytest.raises(ValueError, match=rf"none, bn.* Received: norm='{name}'"):
        layers.get(name)


def test_classes_are_attributes_of_the_package():
    assert layers.BatchNorm is BatchNorm
    with pytest.raises(AttributeError, match="has no attribute 'BatchNorn'"):
        _ = layers.BatchNorn


def test_names_are_known_without_tensorflow():
    program = "import sys, bnkit.layers as l; l.names(); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("shape", [(6,), (4, 4, 6)], ids=["dense", "image"])
@pytest.mark.parametrize("name", NAMES)
class TestContract:
    """Every registered normalisation is a Keras layer that goes between any two others."""

    def test_keeps_name_shape_and_dtype(self, name, shape):
        layer = layers.get(name)(name="norm3")
        x = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
        outputs = layer(x, training=True)
        assert isinstance(layer, keras.layers.Layer)
        assert layer.name == "norm3"
        assert (outputs.shape, outputs.dtype) == (x.shape, "float32")
        assert np.isfinite(outputs).all()

    def test_inference_changes_nothing_and_repeats(self, name, shape):
        layer = layers.get(name)()
        x = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
        layer(x, training=True)
        before = [v.numpy() for v in layer.variables]
        first, second = layer(x, training=False), layer(x, training=False)
        np.testing.assert_array_equal(first, second)
        for variable, value in zip(layer.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)

    def test_survives_saving(self, name, shape, tmp_path):
        model = keras.Sequential([keras.Input(shape), layers.get(name)()])
        x = np.random.default_rng(0).normal(3, 2, (8, *shape)).astype("float32")
        model(x, training=True)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(x, training=False), model(x, training=False))
