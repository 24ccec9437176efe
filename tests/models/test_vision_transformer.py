"""Vision transformers: names, shapes, and the function that they calculate."""

import math

import keras
import numpy as np
import pytest
import reference
from reference import error

from bnkit import models


def small(norm="layer", **options):
    chosen = {"blocks": 2, "width": 1 / 8, "input_shape": (8, 8, 3), "seed": 0, **options}
    return models.vision_transformer(norm, **chosen)


def names(model):
    return [layer.name for layer in model.layers]


@pytest.mark.parametrize("place", ["post", "pre"])
def test_layers_are_named_by_stage_in_forward_order(place):
    expected = ["images", "split", "arrange", "patches", "dense1", "positions", "norm1"]
    for block, first in enumerate((2, 8)):
        expected += [f"query{first}", f"key{first + 1}", f"value{first + 2}"]
        expected += [f"attention{first + 2}", f"project{first + 3}", f"add{2 * block + 1}"]
        expected += [f"norm{first + 3}", f"dense{first + 4}", f"gelu{first + 4}"]
        expected += [f"dense{first + 5}", f"add{2 * block + 2}", f"norm{first + 5}"]
    assert names(small(norm_place=place)) == [*expected, "pool", "logits"]


def test_width_multiplies_all_channels_but_the_logits():
    model = models.vision_transformer("none", width=0.5, classes=7)
    units = [layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")]
    block = [(32, 32)] * 4 + [(32, 128), (128, 32)]
    assert units == [(4 * 4 * 3, 32), *block * 4, (32, 7)]
    assert model.get_layer("positions").output.shape == (None, 64, 32)


def layer_norm(x, gamma, beta):
    """Of each token."""
    centred = x - x.mean(-1, keepdims=True)
    return gamma * centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-5) + beta


def rms_norm(x, gamma, beta):
    return gamma * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)


def batch_norm(x, gamma, beta):
    """Over batch and tokens."""
    rows = reference.batch_norm(x.reshape(-1, x.shape[-1]), gamma, beta, 1e-5).outputs
    return rows.reshape(x.shape)


NORMS = {"none": None, "layer": layer_norm, "rms": rms_norm, "bn": batch_norm}


def reference_logits(model, x, norm, place):
    """The network in NumPy, float64, training mode: 8x6 images, 2x2 tokens of 8 channels."""
    weights = {v.path: v.numpy().astype("float64") for v in model.variables}
    index = 0

    def dense(x, kind="dense"):
        nonlocal index
        index += 1
        return x @ weights[f"{kind}{index}/kernel"] + weights[f"{kind}{index}/bias"]

    def normed(x):
        if NORMS[norm] is None:
            return x
        of = f"norm{index}/"
        gamma = weights[of + ("scale" if norm == "rms" else "gamma")]
        return NORMS[norm](x, gamma, weights.get(of + "beta"))

    def attended(x):
        query, key, value = dense(x, "query"), dense(x, "key"), dense(x, "value")
        out = np.empty_like(query)
        for head in range(4):
            own = slice(2 * head, 2 * head + 2)
            scores = query[..., own] @ key[..., own].transpose(0, 2, 1) / math.sqrt(2)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            out[..., own] = shares / shares.sum(-1, keepdims=True) @ value[..., own]
        return dense(out, "project")

    def transformed(x):
        x = dense(x)
        erf = np.vectorize(math.erf)
        return dense(x * (1 + erf(x / math.sqrt(2))) / 2)

    padded = np.pad(x, [(0, 0), (0, 0), (0, 2), (0, 0)])
    corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
    tokens = [padded[:, r : r + 4, c : c + 4].reshape(len(x), -1) for r, c in corners]
    positions = np.array(
        [
            [f(p * s) for p in (column, row) for f in (math.sin, math.cos) for s in (1, 1e-4)]
            for row in (0, 1)
            for column in (0, 1)
        ]
    )
    x = dense(np.stack(tokens, axis=1)) + positions
    x = normed(x) if place == "post" else x
    for branch in (attended, transformed) * 2:
        x = normed(branch(x) + x) if place == "post" else branch(normed(x)) + x
    x = normed(x) if place == "pre" else x
    return x.mean(1) @ weights["logits/kernel"] + weights["logits/bias"]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("place", ["post", "pre"])
def test_logits_by_hand(norm, place):
    model = small(norm, norm_place=place, input_shape=(8, 6, 3))
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    x = rng.normal(size=(4, 8, 6, 3)).astype("float32")
    expected = reference_logits(model, x.astype("float64"), norm, place)
    assert error(model(x, training=True), expected) < 1e-5


@pytest.mark.parametrize("place", ["post", "pre"])
def test_every_arm_has_the_same_initial_weights(place):
    arms = [small(norm, norm_place=place, seed=3) for norm in ("none", "bn", "layer", "weight")]
    kernels = [[v.numpy() for v in a.variables if v.path.endswith("kernel")] for a in arms]
    assert len(kernels[0]) == 14
    for arm in kernels[1:]:
        for got, want in zip(arm, kernels[0], strict=True):
            np.testing.assert_array_equal(got, want)
    other = small(seed=4).get_layer("key3").kernel.numpy()
    assert np.abs(other - kernels[0][2]).max() > 0.01
    assert np.abs(kernels[0][1] - kernels[0][2]).max() > 0.01


@pytest.mark.parametrize("place", ["post", "pre"])
def test_weight_normalisation_starts_as_the_network_without(place):
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3))
    none, weight = (np.asarray(small(n, norm_place=place)(x)) for n in ("none", "weight"))
    assert error(weight, none) < 1e-5


@pytest.mark.parametrize("shape", [(28, 28, 1), (1, 1, 2), (2, 1, 3), (17, 9, 4)])
def test_images_of_every_size(shape):
    logits = small(input_shape=shape, classes=5)(
        np.random.default_rng(0).normal(size=(2, *shape)), training=True
    )
    assert logits.shape == (2, 5) and np.isfinite(logits).all()


def test_a_saved_model_gives_the_same_logits(tmp_path):
    model, x = small("bn"), np.random.default_rng(0).normal(size=(4, 8, 8, 3))
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_layer_norm_keeps_what_it_is_given():
    """That of a token in place of the sample's, with the same epsilon; any other is left alone."""
    from bnkit.layers import GroupNorm, LayerNorm

    made = small(LayerNorm).get_layer("norm1")
    assert type(made) is keras.layers.LayerNormalization and made.epsilon == LayerNorm().epsilon
    assert type(small(GroupNorm).get_layer("norm1")) is GroupNorm
    assert type(small(keras.layers.RMSNormalization).get_layer("norm1")).__name__.startswith("RMS")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_logits_are_float32_at_any_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = small()
    assert model.output.dtype == model(np.ones((2, 8, 8, 3))).dtype == "float32"
    assert model.get_layer("positions").output.dtype == keras.config.dtype_policy().compute_dtype


@pytest.mark.parametrize(
    "options, message",
    [
        ({"blocks": 0}, r"`blocks` must be an integer >= 1\. Received: blocks=0"),
        ({"width": 0}, r"`width` must be > 0\. Received: width=0"),
        ({"norm_place": "mid"}, r"`norm_place` must be one of \['post', 'pre'\].*'mid'"),
        ({"input_shape": (8,)}, r"images of shape.*input_shape=\(8,\)"),
        ({"norm": "batch"}, r"`norm` must be one of none, bn.*Received: norm='batch'"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
