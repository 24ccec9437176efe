"""Residual networks: names, shapes, the function they calculate, and the plain twin."""

import keras
import numpy as np
import pytest
import reference
from reference import error

from bnkit import models


def small(norm="bn", **options):
    return models.resnet(norm, **{"width": 1 / 8, "input_shape": (8, 8, 1), "seed": 0, **options})


def weight_layers(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel")]


def names(model):
    return [layer.name for layer in model.layers]


@pytest.mark.parametrize("depth", [20, 32, 56])
@pytest.mark.parametrize("place", ["post", "pre"])
def test_layers_are_named_by_stage_in_forward_order(depth, place):
    """A sum after every second convolution but the first: conv1, then blocks of two."""
    expected = ["images"]
    shortcuts = []
    for i in range(1, depth):
        block = (i - 1) // 2
        ends_block = i > 1 and i % 2 == 1
        add = [f"add{block}"] if ends_block else []
        norm = [f"norm{i}"]
        expected += [f"conv{i}", *(norm + add if place == "post" else add + norm), f"relu{i}"]
        if ends_block and block in (depth // 6 + 1, 2 * (depth // 6) + 1):
            shortcuts += [f"subsample{block}", f"pad{block}"]
    found = names(small(depth=depth, norm_place=place))
    # Where on the shortcut's side of a graph they are listed is Keras's choice.
    assert [name for name in found if name in shortcuts] == shortcuts
    assert [n for n in found if n not in shortcuts] == [*expected, "pool", "logits"]


def test_channels_double_where_the_image_is_halved():
    model = models.resnet("none", depth=32, width=0.5, input_shape=(20, 12, 3), classes=7)
    kernels = [layer.kernel.shape for layer in weight_layers(model)]
    assert [kernel[-1] for kernel in kernels] == [8] * 11 + [16] * 10 + [32] * 10 + [7]
    assert {kernel[:2] for kernel in kernels[:-1]} == {(3, 3)}
    sizes = [model.get_layer(f"relu{i}").output.shape[1:3] for i in range(1, 32)]
    assert sizes == [(20, 12)] * 11 + [(10, 6)] * 10 + [(5, 3)] * 10
    assert model.get_layer("pool").output.shape == (None, 32)


def reference_logits(model, x, norm, place, skip):
    """The network in NumPy, float64, training mode; three blocks in each stage."""
    weights = {v.path: v.numpy().astype("float64") for v in model.variables}

    def conv(i, x, stride=1):
        kernel, bias = weights[f"conv{i}/kernel"], weights[f"conv{i}/bias"]
        height, width = (-(-size // stride) for size in x.shape[1:3])
        # As TensorFlow pads: the odd row or column goes to the end.
        missing = [
            max((out - 1) * stride + 3 - size, 0)
            for out, size in zip((height, width), x.shape[1:3], strict=True)
        ]
        padded = np.pad(x, [(0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)])
        out = np.zeros((len(x), height, width, kernel.shape[-1])) + bias
        for row in range(3):
            for column in range(3):
                window = padded[:, row : row + stride * height, column : column + stride * width]
                out += window[:, ::stride, ::stride][:, :height, :width] @ kernel[row, column]
        return out

    def norm_of(i, x):
        if norm == "none":
            return x
        gamma, beta = weights[f"norm{i}/gamma"], weights[f"norm{i}/beta"]
        return reference.batch_norm(x, gamma, beta, 1e-5).outputs

    def relu(x):
        return np.maximum(x, 0)

    def shortcut(x, like):
        if x.shape[1:] != like.shape[1:]:
            x = x[:, ::2, ::2]
            missing = like.shape[-1] - x.shape[-1]
            x = np.concatenate(
                [
                    np.zeros((*x.shape[:3], missing // 2)),
                    x,
                    np.zeros((*x.shape[:3], missing - missing // 2)),
                ],
                axis=-1,
            )
        return x if skip else 0

    x = conv(1, x)
    x = relu(norm_of(1, x)) if place == "post" else x
    for block in range(9):
        i, stride = 2 * block + 2, 2 if block in (3, 6) else 1
        start = x
        if place == "post":
            x = norm_of(i + 1, conv(i + 1, relu(norm_of(i, conv(i, start, stride)))))
            x = relu(x + shortcut(start, x))
        else:
            x = conv(i, relu(norm_of(i - 1, start)), stride)
            x = conv(i + 1, relu(norm_of(i, x)))
            x = x + shortcut(start, x)
    x = relu(norm_of(19, x)) if place == "pre" else x
    return x.mean((1, 2)) @ weights["logits/kernel"] + weights["logits/bias"]


@pytest.mark.parametrize("norm", ["none", "bn"])
@pytest.mark.parametrize("place", ["post", "pre"])
@pytest.mark.parametrize("skip", [True, False])
def test_logits_by_hand(norm, place, skip):
    """Odd sizes: what the skip connection takes must be where the convolution looks."""
    model = small(norm, norm_place=place, skip=skip, width=3 / 16, input_shape=(9, 6, 2))
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    x = rng.normal(size=(4, 9, 6, 2)).astype("float32")
    expected = reference_logits(model, x.astype("float64"), norm, place, skip)
    assert error(model(x, training=True), expected) < 1e-4


def test_the_plain_twin_has_the_same_weights_and_no_sums():
    residual, plain = small(), small(skip=False)
    assert not any(name.startswith(("add", "pad", "subsample")) for name in names(plain))
    for got, want in zip(plain.weights, residual.weights, strict=True):
        assert got.path == want.path
        np.testing.assert_array_equal(got, want)
    assert (residual.name, plain.name) == ("resnet20", "plain20")
    assert names(small(skip=False, norm_place="pre")) == names(plain)


@pytest.mark.parametrize("place", ["post", "pre"])
def test_every_arm_has_the_same_initial_weights(place):
    arms = [small(norm, norm_place=place, seed=3) for norm in ("none", "bn", "group", "weight")]
    kernels = [[layer.kernel.numpy() for layer in weight_layers(model)] for model in arms[:3]] + [
        [v.numpy() for v in arms[3].variables if v.path.endswith("kernel")]
    ]
    for arm in kernels[1:]:
        for got, want in zip(arm, kernels[0], strict=True):
            np.testing.assert_array_equal(got, want)
    assert all((layer.bias.numpy() == 0).all() for layer in weight_layers(arms[1]))
    other = small(seed=4, norm_place=place).get_layer("conv5").kernel.numpy()
    assert np.abs(other - kernels[1][4]).max() > 0.01


@pytest.mark.parametrize("place", ["post", "pre"])
def test_weight_normalisation_starts_as_the_network_without(place):
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1))
    none, weight = (np.asarray(small(n, norm_place=place)(x)) for n in ("none", "weight"))
    assert error(weight, none) < 1e-5


@pytest.mark.parametrize("shape", [(28, 28, 1), (1, 1, 2), (2, 1, 3), (17, 33, 4)])
def test_images_of_every_size(shape):
    model = small(input_shape=shape, classes=5)
    logits = model(np.random.default_rng(0).normal(size=(2, *shape)), training=True)
    assert logits.shape == (2, 5) and np.isfinite(logits).all()


def test_a_saved_model_gives_the_same_logits(tmp_path):
    model, x = small(), np.random.default_rng(0).normal(size=(4, 8, 8, 1))
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_the_non_linearity_is_named_and_used():
    model = small("none", activation="elu")
    assert [n for n in names(model) if "elu" in n] == [f"elu{i}" for i in range(1, 20)]
    assert model.get_layer("elu7").activation is keras.activations.elu


def test_channels_are_last_whatever_keras_is_set_to():
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    expected = small()(x)
    keras.config.set_image_data_format("channels_first")
    try:
        model = small()
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(model(x), expected)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"depth": 21}, r"`depth` must be one of \[20, 32, 56\]\. Received: depth=21"),
        ({"width": 0}, r"`width` must be > 0\. Received: width=0"),
        ({"norm_place": "mid"}, r"`norm_place` must be one of \['post', 'pre'\].*'mid'"),
        ({"input_shape": (8,)}, r"images of shape.*input_shape=\(8,\)"),
        ({"norm": "batch"}, r"`norm` must be one of none, bn.*Received: norm='batch'"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
