"""Norm, effective learning rate and rotation of the weights, against NumPy and by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import error, norm

from bnkit.layers import BatchNorm
from bnkit.probes.weights import weights

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def half_mean_square(y_true, y_pred):
    return tf.reduce_mean(tf.square(y_pred - y_true)) / 2


def angle(first, second):
    """From the parts of one vector along and across the other, in float64."""
    first, second = (np.ravel(v).astype("float64") for v in (first, second))
    first /= np.sqrt(first @ first)
    along = first @ second
    across = second - along * first
    return np.arctan2(np.sqrt(across @ across), along)


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_two_layers_by_hand(in_graph):
    """`P = (X A + a) B + b` and `L = ||P - Y||^2 / (2 m n)` for m samples with n outputs.

    With `E = (P - Y) / (m n)`: `dL/dA = X' E B'` and `dL/dB = (X A + a)' E`. The biases have no
    part in any of the measures.
    """
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    current = [rng.normal(size=shape) for shape in [(4, 3), (3,), (3, 2), (2,)]]
    following = [w + 0.3 * rng.normal(size=w.shape) for w in current]
    a, a_bias, b, b_bias = current
    hidden = x @ a + a_bias
    residual = (hidden @ b + b_bias - y) / y.size
    gradients = [x.T @ residual @ b.T, hidden.T @ residual]
    dense = [keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")]
    model = keras.Sequential([keras.Input((4,)), *dense])
    model.set_weights(current)

    def measure(lr):
        measured = weights(model, half_mean_square, (x, y), following, lr)
        assert measured.layers == ("a", "b")
        return measured[1:]

    if in_graph:
        measure = tf.function(measure, autograph=False)
    actual = measure(tf.constant(0.2))

    norms = [norm([a]), norm([b])]
    shares = [
        np.sum(g * w) ** 2 / (norm([g]) ** 2 * norm([w]) ** 2)
        for g, w in zip(gradients, (a, b), strict=True)
    ]
    expected = [
        norms,
        [0.2 / n**2 for n in norms],
        [angle(a, following[0]), angle(b, following[2])],
        shares,
        [norm([g]) for g in gradients],
    ]
    for got, want in zip(actual, expected, strict=True):
        assert got.dtype == tf.float32
        np.testing.assert_allclose(got, want, rtol=1e-5)
    assert min(shares) > 0.01


def linear(kernel):
    """One dense layer with one output, without bias, of the given weights."""
    kernel = np.asarray(kernel, "float32")[:, np.newaxis]
    dense = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((len(kernel),)), dense])
    model.set_weights([kernel])
    return model


@pytest.mark.parametrize("turn", [0, 1e-12, 1e-8, 1e-4, 1.0, np.pi / 2, np.pi - 1e-4, np.pi])
def test_angles_of_all_sizes(turn):
    model = linear([2.0, 0.0])
    following = [3 * np.array([[np.cos(turn)], [np.sin(turn)]], "float32")]
    batch = np.ones((1, 2), "float32"), np.ones((1, 1), "float32")
    measured = weights(model, half_mean_square, batch, following, 1.0)
    np.testing.assert_allclose(measured.angular_update, [turn], rtol=2e-7, atol=1e-15)


def test_a_step_of_the_last_digits():
    """Every weight moves by a unit in its last place, up or down: 1e-7 of its size."""
    rng = np.random.default_rng(0)
    current = rng.normal(size=200).astype("float32")
    towards = np.where(rng.random(200) < 0.5, -np.inf, np.inf).astype("float32")
    following = np.nextafter(current, towards)
    batch = np.ones((1, 200), "float32"), np.ones((1, 1), "float32")
    measured = weights(linear(current), half_mean_square, batch, [following[:, np.newaxis]], 1.0)
    expected = angle(current, following)
    assert expected < 1e-7
    np.testing.assert_allclose(measured.angular_update, [expected], rtol=1e-6)


def images(samples=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 4, 4, 2)).astype("float32"), rng.integers(0, 10, samples)


def convolutional(norm=True, **options):
    """Three weight layers, the first two with BN unless told otherwise."""
    layers = [
        keras.layers.Conv2D(3, 3, name="first"),
        keras.layers.Flatten(),
        keras.layers.Dense(6, name="second"),
        keras.layers.Dense(10, name="last"),
    ]
    if norm:
        layers.insert(1, BatchNorm(epsilon=0.0, **options))
        layers.insert(4, BatchNorm(epsilon=0.0, **options))
    model = keras.Sequential([keras.Input((4, 4, 2)), *layers])
    rng = np.random.default_rng(1)
    model.set_weights([w + 0.3 * rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def stepped(model, batch, lr):
    """W(t+1) of plain gradient descent."""
    with tf.GradientTape() as tape:
        loss = CROSS_ENTROPY(batch[1], model(batch[0], training=True))
    values = [v.value for v in model.trainable_variables]
    gradient = tape.gradient(loss, values)
    return [v - lr * g for v, g in zip(values, gradient, strict=True)]


def test_weights_before_batch_norm_have_no_radial_gradient():
    batch = images()
    with_norm, without = (
        weights(model, CROSS_ENTROPY, batch, model.trainable_variables, 0.1)
        for model in (convolutional(), convolutional(norm=False))
    )
    assert np.max(with_norm.radial_share[:2]) < 1e-10
    assert with_norm.radial_share[2] > 1e-4
    assert np.min(without.radial_share) > 1e-4


def test_the_effective_learning_rate_is_that_of_the_direction():
    """Before BN: weights three times as long turn by as much at nine times the learning rate.

    And as the gradient stands at right angles to them, `tan(angle) = lr ||g|| / ||W||`.
    """
    batch, short = images(), convolutional()
    long = convolutional()
    long.set_weights(short.get_weights())
    for layer in ("first", "second"):
        kernel = long.get_layer(layer).kernel
        kernel.assign(3 * kernel)
    results = [
        weights(model, CROSS_ENTROPY, batch, stepped(model, batch, lr), lr)
        for model, lr in ((short, 0.1), (long, 0.9))
    ]
    before = slice(0, 2)
    for name in ("effective_lr", "angular_update"):
        first, second = (getattr(result, name)[before] for result in results)
        np.testing.assert_allclose(first, second, rtol=1e-4)
    for result in results:
        tangent = result.effective_lr * result.gradient_norm * result.weight_norm
        np.testing.assert_allclose(
            np.tan(result.angular_update[before]), tangent[before], rtol=1e-4
        )
    first, second = (result.weight_norm[before] for result in results)
    np.testing.assert_allclose(second, 3 * first, rtol=1e-6)


def test_all_kernels_of_a_layer_count():
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.SimpleRNN(4)])
    kernel, recurrent, _ = (w.astype("float64") for w in model.get_weights())
    batch = np.ones((2, 3, 2), "float32"), np.ones((2, 4), "float32")
    measured = weights(model, half_mean_square, batch, model.trainable_variables, 1.0)
    np.testing.assert_allclose(measured.weight_norm, [norm([kernel, recurrent])], rtol=1e-6)


def test_gradients_whose_square_no_float_holds():
    model, batch = convolutional(norm=False), images()

    def tiny(y_true, y_pred):
        return 1e-30 * CROSS_ENTROPY(y_true, y_pred)

    expected, actual = (
        weights(model, loss, batch, model.trainable_variables, 0.1).radial_share
        for loss in (CROSS_ENTROPY, tiny)
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_what_zero_weights_and_gradients_leave_undefined():
    ones = np.ones((1, 2), "float32"), np.ones((1, 1), "float32")
    following = [np.ones((2, 1), "float32")]
    no_weights = weights(linear([0.0, 0.0]), half_mean_square, ones, following, 0.5)
    assert (no_weights.weight_norm, no_weights.effective_lr) == (0, np.inf)
    assert np.isnan(no_weights.angular_update) and np.isnan(no_weights.radial_share)
    assert no_weights.gradient_norm > 1
    no_gradient = weights(linear([1.0, 0.0]), half_mean_square, ones, following, 0.5)
    assert (no_gradient.weight_norm, no_gradient.effective_lr) == (1, 0.5)
    np.testing.assert_allclose(no_gradient.angular_update, [np.pi / 4], rtol=1e-6)
    assert no_gradient.gradient_norm == 0 and np.isnan(no_gradient.radial_share)


def test_at_given_weights():
    model, batch = convolutional(), images()
    other = keras.models.clone_model(model)
    current = [v.numpy() for v in model.trainable_variables]
    following = [w + 0.1 for w in current]
    expected = weights(model, CROSS_ENTROPY, batch, following, 0.1)
    actual = weights(other, CROSS_ENTROPY, batch, following, 0.1, weights=current)
    for got, want in zip(actual[1:], expected[1:], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-10)


def test_on_replicas_it_is_that_of_the_global_batch(two_replicas, on_two_replicas):
    x, y = images()
    x[8:] = 2 * x[8:] + 1
    single = convolutional()
    following = [v.numpy() + 0.1 for v in single.trainable_variables]
    expected = weights(single, CROSS_ENTROPY, (x, y), following, 0.1)
    with two_replicas.scope():
        model = convolutional(synchronized=True)
    model.set_weights(single.get_weights())

    def measure(x, y):
        return weights(model, CROSS_ENTROPY, (x, y), following, 0.1)[1:]

    results = on_two_replicas(measure, x, y)
    for result in results:
        for got, want in zip(result, expected[1:], strict=True):
            assert error(got, want) < 1e-4
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_variable_stays_bit_identical(in_graph, variables_of_a_trained_model):
    model, batch, snapshot = variables_of_a_trained_model
    before = snapshot()
    following = [v.numpy() + 0.1 for v in model.trainable_variables]

    def measure(x, y):
        return weights(model, CROSS_ENTROPY, (x, y), following, 0.1)[1:]

    (tf.function(measure, autograph=False) if in_graph else measure)(*map(tf.constant, batch))
    assert snapshot() == before


def test_next_weights_that_do_not_fit():
    batch = np.ones((1, 2), "float32"), np.ones((1, 1), "float32")
    message = r"`next_weights`.*Received: \[\(3, 1\)\], expected: \[\(2, 1\)\]"
    with pytest.raises(ValueError, match=message):
        weights(linear([1.0, 2.0]), half_mean_square, batch, [np.ones((3, 1))], 0.1)
