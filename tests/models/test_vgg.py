"""VGG: names, shapes, and initial weights that do not depend on the norm."""

import keras
import numpy as np
import pytest

from bnkit import models

CHANNELS = {
    11: [64, 128, 256, 256, 512, 512, 512, 512],
    13: [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
    16: [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512],
    19: [64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512],
}


# Convolutions after which the image is halved.
POOLED = {
    11: [1, 2, 4, 6, 8],
    13: [2, 4, 6, 8, 10],
    16: [2, 4, 7, 10, 13],
    19: [2, 4, 8, 12, 16],
}


def small(norm="bn", **options):
    return models.vgg(norm, **{"width": 1 / 64, "input_shape": (8, 8, 1), **options})


def weight_layers(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel")]


@pytest.mark.parametrize("depth", CHANNELS)
@pytest.mark.parametrize("norm", ["bn", "none"])
def test_layers_are_named_by_stage_in_forward_order(depth, norm):
    names, convolutions = ["images"], len(CHANNELS[depth])
    for i in range(1, depth):
        names.append(f"conv{i}" if i <= convolutions else f"dense{i}")
        names += [f"norm{i}"] * (norm == "bn") + [f"relu{i}"]
        if i in POOLED[depth]:
            names.append(f"pool{POOLED[depth].index(i) + 1}")
        if i == convolutions:
            names.append("flatten")
    model = small(norm, depth=depth, input_shape=(32, 32, 3))
    assert [layer.name for layer in model.layers] == [*names, "logits"]


def test_what_is_one_pixel_already_is_not_pooled():
    pools = [layer.name for layer in small(input_shape=(8, 5, 3)).layers if "pool" in layer.name]
    assert pools == ["pool1", "pool2", "pool3"]


@pytest.mark.parametrize("depth", CHANNELS)
@pytest.mark.parametrize("width", [0.25, 0.125])
def test_width_multiplies_all_units_but_the_logits(depth, width):
    model = models.vgg("none", depth=depth, width=width, classes=7)
    units = [layer.kernel.shape[-1] for layer in weight_layers(model)]
    assert units == [int(width * n) for n in [*CHANNELS[depth], 512, 512]] + [7]
    assert all(layer.kernel.shape[:2] == (3, 3) for layer in weight_layers(model)[:-3])


def test_a_tiny_width_leaves_one_unit():
    units = [layer.kernel.shape[-1] for layer in weight_layers(small(width=1e-6))]
    assert units == [1] * 10 + [10]


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (1, 1, 2), (33, 17, 4)])
def test_images_of_every_size(shape):
    model = small(input_shape=shape, classes=5)
    x = np.random.default_rng(0).normal(size=(2, *shape))
    logits = model(x, training=True)
    assert model.output_shape == (None, 5)
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_logits_are_float32_at_any_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = small()
    assert model.output.dtype == model(np.ones((2, 8, 8, 1))).dtype == "float32"
    assert model.get_layer("conv3").compute_dtype == keras.config.dtype_policy().compute_dtype


def test_every_arm_has_all_biases_and_the_same_initial_weights():
    """So that arms differ in the normalisation alone; no two layers share their draw."""
    factory = keras.layers.LayerNormalization
    arms = [small(norm, seed=3) for norm in ("none", "bn", factory, "bn")]
    kernels = [[layer.kernel.numpy() for layer in weight_layers(arm)] for arm in arms]
    for arm in kernels[1:]:
        for got, want in zip(arm, kernels[0], strict=True):
            np.testing.assert_array_equal(got, want)
    for layer in weight_layers(arms[1]):
        np.testing.assert_array_equal(layer.bias, np.zeros(layer.bias.shape))


def test_layers_of_one_shape_draw_different_weights():
    model = models.vgg("none", width=1 / 16, seed=0)
    by_shape = {}
    for layer in weight_layers(model):
        by_shape.setdefault(layer.kernel.shape, []).append(layer.kernel.numpy())
    several = next(kernels for kernels in by_shape.values() if len(kernels) >= 3)
    for i, one in enumerate(several):
        assert all(np.abs(one - other).max() > 0.01 for other in several[:i])


@pytest.mark.parametrize("seed, other", [(0, 1), (None, None)])
def test_other_seeds_and_no_seed_give_other_weights(seed, other):
    one, two = (small(seed=s).get_layer("conv5").kernel.numpy() for s in (seed, other))
    assert np.abs(one - two).max() > 0.01


def test_weights_are_glorot_uniform():
    """Uniform in +-sqrt(6 / (fan in + fan out)): so large a draw comes close to both limits."""
    model = models.vgg("none", width=0.125, seed=0)
    checked = 0
    for layer in weight_layers(model):
        *receptive, inputs, outputs = layer.kernel.shape
        limit = np.sqrt(6 / (np.prod(receptive) * (inputs + outputs)))
        kernel = layer.kernel.numpy()
        assert np.abs(kernel).max() <= limit
        if kernel.size > 2000:
            checked += 1
            assert kernel.max() > 0.99 * limit
            assert kernel.min() < -0.99 * limit
            # The deviation of a uniform draw; its own error is about 1 / sqrt(5 n).
            assert kernel.std() == pytest.approx(
                limit / np.sqrt(3), rel=5 / np.sqrt(5 * kernel.size)
            )
    assert checked >= 5


def test_no_normalisation_may_be_said_in_two_ways():
    assert [layer.name for layer in small(None).layers] == [x.name for x in small("none").layers]


def test_a_saved_model_gives_the_same_logits(tmp_path):
    model, x = small(), np.random.default_rng(0).normal(size=(4, 8, 8, 1))
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"depth": 12}, r"`depth` must be one of \[11, 13, 16, 19\]\. Received: depth=12"),
        ({"width": 0}, r"`width` must be > 0\. Received: width=0"),
        ({"width": -1.0}, r"Received: width=-1\.0"),
        ({"width": float("nan")}, r"Received: width=nan"),
        ({"norm": "batch"}, r"`norm` must be one of none, bn.*Received: norm='batch'"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


@pytest.mark.parametrize("activation", ["elu", "selu"])
def test_the_non_linearity_is_named_and_used(activation):
    model, x = (
        small("bn", activation=activation),
        np.random.default_rng(0).normal(size=(4, 8, 8, 1)),
    )
    names = [layer.name for layer in model.layers]
    assert [f"{activation}{i}" for i in range(1, 11)] == [n for n in names if "elu" in n]
    inner = keras.Model(
        model.input, [model.get_layer(n).output for n in ("norm1", f"{activation}1")]
    )
    before, after = (np.asarray(values) for values in inner(x))
    constants = {"elu": (1, 1), "selu": (1.0507009873554805, 1.6732632423543772)}[activation]
    scale, alpha = constants
    expected = scale * np.where(before > 0, before, alpha * (np.exp(before) - 1))
    assert (before < 0).any()
    np.testing.assert_allclose(after, expected, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 3])
def test_weight_normalisation_starts_as_the_network_without(seed):
    """Each of ten layers rounds a ratio g / ||v|| that should be 1, and a product with it."""
    arms = [small(norm, seed=seed, width=1 / 16) for norm in ("none", "weight")]
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1))
    none, weight = (np.asarray(arm(x, training=True)) for arm in arms)
    assert np.abs(weight - none).max() < 1e-5 * np.abs(none).max()
    assert [layer.name for layer in arms[1].layers if layer.name.startswith("norm")] == [
        f"norm{i}" for i in range(1, 11)
    ]
    assert arms[1].count_params() > arms[0].count_params()


def test_channels_are_last_whatever_keras_is_set_to():
    """Else the same code would silently build another network."""
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    expected = models.vgg("bn", width=0.05, input_shape=(8, 8, 3), seed=0)(x)
    keras.config.set_image_data_format("channels_first")
    try:
        model = models.vgg("bn", width=0.05, input_shape=(8, 8, 3), seed=0)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(model(x), expected)
