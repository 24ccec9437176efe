"""LpNorm beyond the contract: its edges, its invariances, and its second derivatives.

Values and first derivatives against NumPy are in the contract table, `test_registry.py`.
Tolerances are relative to the largest magnitude; float32 as in `test_batch_norm.py`.
"""

import itertools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit.layers import BatchNorm, LpNorm
from bnkit.layers.batch import Batch

FLOAT32 = 1e-5
EPSILON = 1e-5
ALL_P = [1, 1.5, 2, 3, 50, 100, 1000, "inf"]

each_p = pytest.mark.parametrize("p", ALL_P)
dense_and_image = pytest.mark.parametrize("shape", [(16, 5), (4, 2, 2, 5)], ids=["dense", "image"])


def random_batch(shape, seed=0):
    """Units with different means and deviations."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * rng.uniform(0.3, 3, shape[-1]) + rng.normal(0, 2, shape[-1])


def loss_weights(shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape)


def built(layer, shape):
    layer.build((None, *shape[1:]))
    rng = np.random.default_rng(7)
    layer.gamma.assign(rng.uniform(0.5, 2, shape[-1]))
    layer.beta.assign(rng.normal(size=shape[-1]))
    return layer


def outputs_and_gradient(layer, x, weights):
    """In training mode, for the loss `sum(weights * outputs)`."""
    x = tf.constant(x, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
    return outputs.numpy(), tape.gradient(loss, x).numpy()


def size_and_gradient(layer, x):
    """The size of each unit, and the gradient of their sum."""
    x = tf.constant(x, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        size = layer.measure_spread(x, None, Batch(x, x.shape.rank - 1, x.dtype))
    return size.numpy(), tape.gradient(size, x).numpy()


def without_size(weights, gamma, epsilon=EPSILON):
    """The gradient of `sum(weights * gamma * (x - mean(x)) / epsilon)`: size 0, without one."""
    others = tuple(range(weights.ndim - 1))
    return (weights - weights.mean(others)) * gamma / epsilon


@dense_and_image
@each_p
def test_zeros_give_the_shift_and_size_has_gradient_zero(p, shape):
    layer, weights = built(LpNorm(p, momentum=0.0), shape), loss_weights(shape)
    zeros = np.zeros(shape)
    outputs, gradient = outputs_and_gradient(layer, zeros, weights)
    np.testing.assert_array_equal(outputs, np.broadcast_to(layer.beta, shape))
    assert error(gradient, without_size(weights, np.asarray(layer.gamma))) < FLOAT32
    np.testing.assert_array_equal(layer.moving_spread, np.zeros(5))
    assert np.isfinite(layer(zeros, training=False)).all()
    size, of_size = size_and_gradient(layer, zeros)
    np.testing.assert_array_equal(size, np.zeros(5))
    np.testing.assert_array_equal(of_size, zeros)


@dense_and_image
@each_p
def test_a_unit_of_zeros_stands_alone(p, shape):
    """It changes nothing for the others, nor they for it; single zeros are ordinary values."""
    layer, weights, x = built(LpNorm(p), shape), loss_weights(shape), random_batch(shape)
    x[0] = 0
    x[..., 2] = 0
    outputs, gradient = outputs_and_gradient(layer, x, weights)
    gamma, beta = np.asarray(layer.gamma), np.asarray(layer.beta)
    assert error(outputs, reference.lp_norm(x, p, gamma, beta).outputs) < FLOAT32
    others = [0, 1, 3, 4]
    double = built(LpNorm(p, dtype="float64"), (*shape[:-1], 4))
    double.gamma.assign(gamma[others])
    _, expected = outputs_and_gradient(double, x[..., others], weights[..., others])
    assert error(gradient[..., others], expected) < FLOAT32
    assert error(gradient[..., 2], without_size(weights, gamma)[..., 2]) < FLOAT32


@dense_and_image
@each_p
@pytest.mark.parametrize("factor", [1e-15, 1e15])
def test_tiny_and_huge_values_keep_values_and_gradients(p, shape, factor):
    """With epsilon 0 outputs stay and gradients scale inversely, far beyond `factor^p`."""
    layer, weights, x = (
        built(LpNorm(p, epsilon=0.0), shape),
        loss_weights(shape),
        random_batch(shape),
    )
    double = built(LpNorm(p, epsilon=0.0, dtype="float64"), shape)
    expected_outputs, expected = outputs_and_gradient(double, x, weights)
    outputs, gradient = outputs_and_gradient(layer, x * factor, weights)
    assert error(outputs, expected_outputs) < FLOAT32
    assert error(gradient * np.float64(factor), expected) < FLOAT32


@dense_and_image
@pytest.mark.parametrize("p", [p for p in ALL_P if p != 2])
@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_values_at_the_ends_of_float32_stay_finite(p, shape, factor):
    """Not p = 2, which squares: float32 holds squares of 1e-19 to 1e19, as batch norm's variance.

    At 1e-30 epsilon is the size, and outputs are 1e-25: measured relative to the largest.
    """
    layer, weights, x = built(LpNorm(p), shape), loss_weights(shape), random_batch(shape)
    layer.beta.assign(np.zeros(5))
    outputs, gradient = outputs_and_gradient(layer, x * factor, weights)
    expected = reference.lp_norm(x * factor, p, np.asarray(layer.gamma))
    assert error(outputs, expected.outputs) < FLOAT32
    assert np.isfinite(gradient).all()
    size, of_size = size_and_gradient(layer, x * factor)
    assert error(size, expected.size) < FLOAT32
    # The gradient of a size has no unit: it is that of ordinary values.
    double = built(LpNorm(p, dtype="float64"), shape)
    assert error(of_size, size_and_gradient(double, x)[1]) < FLOAT32


@pytest.mark.parametrize("shape", [(6, 1), (1, 2, 3, 1)], ids=["dense", "image"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_those_who_share_the_maximum_share_its_gradient(shape, dtype):
    x = np.reshape([3, -3, 1, 3, -2, 0], shape)
    layer = built(LpNorm("inf", dtype=dtype), shape)
    size, gradient = size_and_gradient(layer, x)
    np.testing.assert_array_equal(size, [3])
    expected = np.reshape([1 / 3, -1 / 3, 0, 1 / 3, 0, 0], shape)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_those_who_share_the_maximum_may_be_on_two_replicas(two_replicas, on_two_replicas):
    x = np.float32([[3], [-3], [1], [3], [-2], [0]])
    with two_replicas.scope():
        layer = built(LpNorm("inf", synchronized=True), x.shape)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            # Both replicas have the same size: each adds half of it.
            batch = Batch(x, 1, x.dtype, synchronized=True)
            half = layer.measure_spread(x, None, batch) / 2
        return tape.gradient(half, x)

    shares = np.concatenate(on_two_replicas(gradient, x))
    expected = [[1 / 3], [-1 / 3], [0], [1 / 3], [0], [0]]
    np.testing.assert_allclose(shares, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 5), (1, 1, 1, 5)], ids=["dense", "1x1 image"])
@each_p
def test_a_batch_of_one_value_gives_the_shift(p, shape):
    """A value less its mean is 0, whatever it is: so is the gradient."""
    x = random_batch(shape)
    layer = built(LpNorm(p, momentum=0.0), shape)
    outputs, gradient = outputs_and_gradient(layer, x, loss_weights(shape))
    np.testing.assert_array_equal(outputs, np.broadcast_to(layer.beta, shape))
    np.testing.assert_array_equal(gradient, np.zeros(shape))
    assert error(layer.moving_spread, np.abs(x).ravel()) < FLOAT32


@pytest.mark.parametrize("p", [1, 2, 3, "inf"])
@pytest.mark.parametrize("shape", [(64, 5), (4, 4, 4, 5)], ids=["dense", "image"])
def test_a_mean_far_from_zero_costs_no_more_than_its_rounding(p, shape):
    """Mean 1e4, deviation 1: outputs are 1e-4, and off by the rounding of the mean, over 1e4.

    float32 has a spacing of 1e-3 at 1e4; a mean of 64 is off by one or two of them, times gamma.

    The gradient is gamma / 1e4 times the loss weights but for terms of a relative 1e-4.
    """
    layer, weights = built(LpNorm(p, momentum=0.0), shape), loss_weights(shape)
    layer.beta.assign(np.zeros(5))
    x = (1e4 + np.random.default_rng(0).normal(size=shape)).astype("float32")
    outputs, gradient = outputs_and_gradient(layer, x, weights)
    expected = reference.lp_norm(x, p, np.asarray(layer.gamma))
    np.testing.assert_allclose(outputs, expected.outputs, atol=5e-3 / 1e4)
    np.testing.assert_allclose(layer.moving_spread, expected.size, rtol=1e-6)
    double = built(LpNorm(p, dtype="float64"), shape)
    assert error(gradient, outputs_and_gradient(double, x, weights)[1]) < FLOAT32


@pytest.mark.parametrize("p", [1, 2, 3])
def test_sums_over_a_real_layers_size_keep_their_digits(p):
    """131,072 values per unit, as in a first layer at batch 128; mean 1e3 times the deviation."""
    x = (1e3 + np.random.default_rng(0).normal(size=(128, 32, 32, 2))).astype("float32")
    expected = reference.lp_norm(x, p)
    layer = LpNorm(p, momentum=0.0)
    outputs = layer(x, training=True)
    np.testing.assert_allclose(layer.moving_spread, expected.size, rtol=1e-5)
    # An error of 1e-5 in a mean of 1e3, over a size of 1e3.
    np.testing.assert_allclose(outputs, expected.outputs, atol=1e-5)


@pytest.mark.parametrize(
    "dtype, in_graph",
    [("float32", False), ("float32", True), ("float64", False)],
    ids=["float32 eager", "float32 graph", "float64"],
)
@pytest.mark.parametrize("p", [1, 3])
@dense_and_image
def test_hessian_vector_products_equal_differences_of_gradients(p, shape, dtype, in_graph):
    """For images float32 takes a kernel, whose gradient has a gradient of its own.

    Differences of float64 gradients are good to 1e-9 here. Other p are in `test_kernels.py`.
    """
    weights = loss_weights(shape)
    rng = np.random.default_rng(11)
    at = [random_batch(shape), rng.uniform(0.5, 2, 5), rng.normal(size=5)]
    direction = [rng.normal(size=np.shape(value)) for value in at]
    layers = {d: built(LpNorm(p, dtype=d, epsilon=1e-2), shape) for d in ("float32", "float64")}

    def gradient(values, dtype):
        layer = layers[dtype]
        state = [v.value for v in layer.non_trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs, _ = layer.stateless_call(values[1:], state, values[0], training=True)
            loss = tf.reduce_sum(tf.sin(outputs) * tf.cast(weights, dtype))
        return tape.gradient(loss, values)

    def product(values, along):
        with tf.GradientTape() as tape:
            tape.watch(values)
            inner = gradient(values, dtype)
        return tape.gradient(inner, values, output_gradients=along)

    def moved(step):
        values = [v + step * d for v, d in zip(at, direction, strict=True)]
        return gradient([tf.constant(v, tf.float64) for v in values], "float64")

    given = [[tf.constant(v, dtype) for v in values] for values in (at, direction)]
    actual = (tf.function(product, autograph=False) if in_graph else product)(*given)
    tolerance = {"float32": 1e-4, "float64": 1e-7}[dtype]
    for got, ahead, behind in zip(actual, moved(1e-5), moved(-1e-5), strict=True):
        assert error(got, (ahead - behind) / 2e-5) < tolerance


def scale_invariant(p):
    """Batch norm for `None`, else an Lp norm; nothing is added to the size."""
    make = BatchNorm if p is None else lambda **options: LpNorm(p, **options)
    return lambda **options: make(epsilon=0.0, **options)


each_norm = pytest.mark.parametrize(
    "make", [scale_invariant(p) for p in [None, *ALL_P]], ids=["bn", *(f"p={p}" for p in ALL_P)]
)


@each_norm
@pytest.mark.parametrize("kind", ["dense", "image"])
def test_the_scale_of_the_weights_before_has_no_effect(make, kind):
    """Scaling a unit's weights leaves outputs as they are, and `<W, dL/dW> = 0` unit by unit.

    In float32 with the kernel for images; relative to `||W|| ||dL/dW||`.
    """
    shape = (16, 4) if kind == "dense" else (4, 4, 4, 4)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(0.5, 1, shape), tf.float32)
    kernel = tf.constant(rng.normal(size=(4, 5) if kind == "dense" else (2, 2, 4, 5)), tf.float32)

    def linear(kernel):
        return x @ kernel if kind == "dense" else tf.nn.conv2d(x, kernel, 1, "VALID")

    layer = built(make(), linear(kernel).shape)
    weights = loss_weights(linear(kernel).shape).astype("float32")

    def outputs_and_gradient_at(kernel):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            outputs = layer(linear(kernel), training=True)
            loss = tf.reduce_sum(tf.sin(outputs) * weights)
        return outputs, tape.gradient(loss, kernel)

    factor = np.float32([0.5, 2, 3, 7, 0.1])
    outputs, gradient = outputs_and_gradient_at(kernel)
    scaled, scaled_gradient = outputs_and_gradient_at(kernel * factor)
    assert error(scaled, outputs) < FLOAT32
    # Against rounding that grows with p: the power of a rounded number.
    assert error(scaled_gradient * factor, gradient) < 10 * FLOAT32
    kernel, gradient = (
        np.reshape(values, (-1, 5)).astype("float64") for values in (kernel, gradient)
    )
    inner = (kernel * gradient).sum(0)
    cosine = inner / np.linalg.norm(kernel, axis=0) / np.linalg.norm(gradient, axis=0)
    np.testing.assert_allclose(cosine, 0, atol=FLOAT32)


@dense_and_image
def test_l2_is_batch_norm_times_a_known_factor(shape):
    """`deviation / sqrt(deviation^2 + mean^2)`, for gamma 1, beta 0, epsilon 0."""
    x = random_batch(shape)
    options = {"epsilon": 0.0, "dtype": "float64"}
    l2, bn = (layer(x, training=True) for layer in (LpNorm(2, **options), BatchNorm(**options)))
    rows = x.reshape(-1, 5)
    factor = rows.std(0) / np.sqrt(rows.var(0) + rows.mean(0) ** 2)
    assert factor.min() < 0.9
    assert error(l2, bn * factor) < 1e-13


@dense_and_image
@each_p
def test_the_order_of_the_batch_has_no_effect(p, shape):
    """Of the samples, nor of the positions in an image; sums are rounded in another order."""
    layer, x, weights = (
        built(LpNorm(p, momentum=0.0), shape),
        random_batch(shape),
        loss_weights(shape),
    )
    order = np.random.default_rng(5).permutation(x.size // 5)

    def permuted(values):
        return np.reshape(values, (-1, 5))[order].reshape(shape)

    outputs, gradient = outputs_and_gradient(layer, x, weights)
    size = layer.moving_spread.numpy()
    again, gradient_again = outputs_and_gradient(layer, permuted(x), permuted(weights))
    assert error(again, permuted(outputs)) < FLOAT32
    assert error(gradient_again, permuted(gradient)) < FLOAT32
    assert error(layer.moving_spread, size) < FLOAT32


def test_larger_p_give_larger_sizes_up_to_the_maximum():
    """Power means grow with p: at p = 1000 over 16 values up to a factor `16^(-1/1000)`."""
    x = random_batch((16, 5))
    sizes = [size_and_gradient(built(LpNorm(p), x.shape), x)[0] for p in ALL_P]
    assert all((larger > smaller).all() for smaller, larger in itertools.pairwise(sizes))
    assert (sizes[-2] > 16 ** (-1 / 1000) * sizes[-1] * (1 - 1e-5)).all()


def test_the_moving_average_is_that_of_the_size():
    x, layer = random_batch((16, 5)), LpNorm(3, momentum=0.6)
    layer(x, training=True)
    assert [v.name for v in layer.non_trainable_variables] == ["moving_mean", "moving_spread"]
    size = reference.lp_norm(x, 3).size
    assert error(layer.moving_spread, 0.6 + 0.4 * size) < FLOAT32


@dense_and_image
def test_inference_rounds_a_few_times_only(shape):
    """No sums are taken: a difference, a product and a sum, of a unit roundoff of 6e-8 each."""
    x, layer = random_batch(shape).astype("float32"), built(LpNorm(2), shape)
    layer.moving_mean.assign(random_batch((5,)))
    layer.moving_spread.assign(np.linspace(0.3, 3, 5))
    values = [np.asarray(v, np.float64) for v in layer.variables]
    assert error(layer(x), reference.lp_norm_inference(x, *values)) < 1e-6


def test_another_axis():
    x = random_batch((4, 2, 2, 5))
    outputs = LpNorm(1.5, axis=1)(np.moveaxis(x, -1, 1), training=True)
    assert error(np.moveaxis(outputs, 1, -1), reference.lp_norm(x, 1.5).outputs) < FLOAT32


@pytest.mark.parametrize("p", [1, 2.5, "inf"])
def test_p_is_part_of_the_config(p):
    layer = LpNorm(p)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.p == p and type(again.p) is type(p)


@pytest.mark.parametrize(
    "p", [0.5, 0, -1, float("nan"), float("inf"), "2", "Inf", None, True, [2]], ids=repr
)
def test_a_p_that_is_not_valid(p):
    with pytest.raises(ValueError, match=r"number >= 1 or 'inf'\. Received: p=") as caught:
        LpNorm(p)
    assert str(caught.value).endswith(f"p={p!r}")
