"""Perceptrons: names, shapes, and the function that they calculate."""

import keras
import numpy as np
import pytest
import reference
from reference import error

from bnkit import models


def small(norm="bn", **options):
    return models.perceptron(
        norm, **{"depth": 4, "width": 1 / 64, "input_shape": (4, 3, 2), "seed": 0, **options}
    )


def names(model):
    return [layer.name for layer in model.layers]


def test_layers_are_named_by_stage_in_forward_order():
    hidden = [f"{kind}{i}" for i in (1, 2, 3) for kind in ("dense", "norm", "relu")]
    assert names(small()) == ["inputs", "flatten", *hidden, "logits"]
    assert names(small(input_shape=(5,))) == ["inputs", *hidden, "logits"]
    assert names(small("none", depth=1, input_shape=(5,))) == ["inputs", "logits"]


def test_width_multiplies_all_units_but_the_logits():
    model = models.perceptron("none", depth=3, width=0.125, classes=7, input_shape=(5,))
    assert [layer.kernel.shape for layer in model.layers[1::2]] == [(5, 64), (64, 64), (64, 7)]


@pytest.mark.parametrize("norm", ["none", "bn"])
@pytest.mark.parametrize("shape", [(4, 3, 2), (6,)])
def test_logits_by_hand(norm, shape):
    model, rng = small(norm, input_shape=shape), np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    weights = {v.path: v.numpy().astype("float64") for v in model.variables}
    images = rng.normal(size=(5, *shape))
    x = images.reshape(5, -1)
    for i in (1, 2, 3):
        x = x @ weights[f"dense{i}/kernel"] + weights[f"dense{i}/bias"]
        if norm == "bn":
            gamma, beta = weights[f"norm{i}/gamma"], weights[f"norm{i}/beta"]
            x = reference.batch_norm(x, gamma, beta, 1e-5).outputs
        x = np.maximum(x, 0)
    expected = x @ weights["logits/kernel"] + weights["logits/bias"]
    assert error(model(images.astype("float32"), training=True), expected) < 1e-5


def test_every_arm_has_the_same_initial_weights():
    arms = [small(norm, seed=3) for norm in ("none", "bn", "layer")]
    for arm in arms[1:]:
        for name in ("dense1", "dense3", "logits"):
            kernels = [model.get_layer(name).kernel for model in (arms[0], arm)]
            np.testing.assert_array_equal(*kernels)
    other = small(seed=4).get_layer("dense2").kernel.numpy()
    assert np.abs(other - arms[0].get_layer("dense2").kernel.numpy()).max() > 0.01


def test_a_saved_model_gives_the_same_logits(tmp_path):
    model, x = small(), np.random.default_rng(0).normal(size=(4, 4, 3, 2))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"depth": 0}, r"`depth` must be an integer >= 1\. Received: depth=0"),
        ({"depth": 2.0}, r"Received: depth=2\.0"),
        ({"width": 0}, r"`width` must be > 0\. Received: width=0"),
        ({"norm": "batch"}, r"`norm` must be one of none, bn.*Received: norm='batch'"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
