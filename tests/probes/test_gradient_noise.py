"""Gradient noise against covariance matrices written out in NumPy, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import error

from bnkit.layers import BatchNorm
from bnkit.probes.gradient_noise import gradient_noise
from bnkit.probes.objective import Objective


def cross_entropy(reduction="sum_over_batch_size"):
    return keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction, dtype="float64")


CROSS_ENTROPY = cross_entropy()


def linear(dimension, dtype="float64"):
    """A model and a loss whose gradient is `mean(y x)` over the samples, at any weights."""
    dense = keras.layers.Dense(1, use_bias=False, dtype=dtype)
    model = keras.Sequential([keras.Input((dimension,), dtype=dtype), dense])
    return model, lambda y, p: tf.reduce_mean(y[:, tf.newaxis] * p)


def network(synchronized=False, dtype="float64"):
    model = keras.Sequential(
        [
            keras.Input((3,), dtype=dtype),
            keras.layers.Dense(4, dtype=dtype),
            BatchNorm(synchronized=synchronized, dtype=dtype),
            keras.layers.Activation("tanh", dtype=dtype),
            keras.layers.Dense(3, dtype=dtype),
        ]
    )
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) + (w == 1) for w in model.get_weights()])
    return model


def samples(count=24, dtype="float64"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 3)).astype(dtype) + 0.5, rng.integers(0, 3, count)


def covariance(gradients):
    """`gradient_norm, trace, top_eigenvalue, share, signal_to_noise` from `[K, n]`, written out."""
    mean = np.mean(gradients, 0)
    matrix = sum(np.outer(g - mean, g - mean) for g in gradients) / (len(gradients) - 1)
    trace, top = np.trace(matrix), np.linalg.eigvalsh(matrix)[-1]
    return np.linalg.norm(mean), trace, top, top / trace, mean @ mean / trace


def gradients_of(model, loss_fn, parts):
    """`[K, n]`, one mini-batch after the other."""
    rows = []
    for part in parts:
        objective = Objective(model, loss_fn, part)
        _, gradient = objective.loss_and_gradient(objective.weights)
        rows.append(np.concatenate([np.ravel(np.asarray(g, np.float64)) for g in gradient]))
    return np.array(rows)


def assert_close(actual, expected, tolerance):
    for name, got, want in zip(actual._fields, actual, expected, strict=True):
        assert error(got, want) < tolerance, name


def test_a_case_worked_by_hand():
    """Gradients (3, 1), (3, -1), (1, 0), (1, 0): mean (2, 0), C = diag(4, 2) / 3."""
    model, loss_fn = linear(2)
    x = np.array([[3, 1], [3, -1], [1, 0], [1, 0]], "float64")
    actual = gradient_noise(model, loss_fn, (x, np.ones(4)), parts=4)
    assert_close(actual, (2, 2, 4 / 3, 2 / 3, 2), 1e-12)
    assert {value.dtype for value in actual} == {tf.float64}
    # Two samples each: means (3, 0) and (1, 0), C = diag(2, 0).
    assert_close(gradient_noise(model, loss_fn, (x, np.ones(4)), parts=2), (2, 2, 2, 1, 2), 1e-12)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize("parts", [2, 3, 8])
def test_equals_the_covariance_of_the_gradients_of_the_parts(parts, dtype, tolerance):
    """With batch statistics of each part: they are consecutive samples."""
    model, (x, y) = network(dtype=dtype), samples(dtype=dtype)
    pieces = zip(np.split(x, parts), np.split(y, parts), strict=True)
    expected = covariance(gradients_of(model, CROSS_ENTROPY, pieces))
    actual = gradient_noise(model, CROSS_ENTROPY, (x, y), parts=parts)
    assert_close(actual, expected, tolerance)
    assert {value.dtype.name for value in actual} == {dtype}


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_one_gradient_is_computed_for_each_part(in_graph):
    model, (x, y), parts = network(), samples(), 6
    turns = tf.Variable(0)

    def loss_fn(y_true, y_pred):
        turns.assign_add(1)
        return CROSS_ENTROPY(y_true, y_pred)

    pieces = zip(np.split(x, parts), np.split(y, parts), strict=True)
    expected = covariance(gradients_of(model, CROSS_ENTROPY, pieces))
    wrap = tf.function if in_graph else lambda f, **options: f
    measure = wrap(
        lambda x, y: gradient_noise(model, loss_fn, (x, y), parts=parts), autograph=False
    )
    turns.assign(0)
    assert_close(measure(x, y), expected, 1e-10)
    assert turns == parts


def test_small_noise_on_a_large_gradient_keeps_its_digits():
    """Gradients 1000 + 1e-3 k in float32: from products in float32 nothing would be left."""
    model, loss_fn = linear(2, "float32")
    x = np.stack([np.full(4, 1000.0), 1000 + 2**-10 * np.arange(4)], 1).astype("float32")
    actual = gradient_noise(model, loss_fn, (x, np.ones(4, "float32")), parts=4)
    assert_close(actual, covariance(x.astype("float64")), 1e-5)


def test_equal_parts_have_no_noise():
    model, (x, y) = network(), samples(3)
    batch = np.tile(x, (5, 1)), np.tile(y, 5)
    actual = gradient_noise(model, CROSS_ENTROPY, batch, parts=5)
    assert actual.gradient_norm > 0.1
    # Kernels may sum in another order from one evaluation to the next.
    assert 0 <= actual.trace < 1e-30
    assert 0 <= actual.top_eigenvalue < 1e-30
    model, loss_fn = linear(2)
    actual = gradient_noise(model, loss_fn, (np.full((6, 2), 0.1), np.ones(6)), parts=3)
    assert error(actual.gradient_norm, 0.1 * np.sqrt(2)) < 1e-12
    assert actual.trace == actual.top_eigenvalue == 0
    assert np.isnan(actual.share)
    assert np.isposinf(actual.signal_to_noise)


def test_no_gradient_at_all():
    model, loss_fn = linear(2)
    actual = gradient_noise(model, loss_fn, (np.zeros((4, 2)), np.ones(4)), parts=2)
    assert actual.gradient_norm == actual.trace == actual.top_eigenvalue == 0
    assert np.isnan(actual.share)
    assert np.isnan(actual.signal_to_noise)


def test_noise_around_zero_has_no_signal():
    """Gradients 1, -1, 1, -1 along one axis: all noise, in one direction."""
    model, loss_fn = linear(2)
    x = np.array([[1, 0], [-1, 0], [1, 0], [-1, 0]], "float64")
    actual = gradient_noise(model, loss_fn, (x, np.ones(4)), parts=4)
    assert actual.gradient_norm == actual.signal_to_noise == 0
    np.testing.assert_allclose(actual[1:4], (4 / 3, 4 / 3, 1), rtol=1e-12)


def test_noise_alike_in_all_directions_has_the_smallest_share():
    """K orthogonal gradients of one length: K - 1 equal eigenvalues."""
    model, loss_fn = linear(5)
    actual = gradient_noise(model, loss_fn, (3 * np.eye(5), np.ones(5)), parts=5)
    assert_close(actual, (3 / np.sqrt(5), 9, 9 / 4, 1 / 4, 1 / 5), 1e-12)


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_a_gradient_that_is_not_finite_gives_nan(in_graph):
    model, loss_fn = linear(2)
    x = np.array([[1, 0], [np.nan, 0], [1, 0], [2, 0]])
    wrap = tf.function if in_graph else lambda f, **options: f
    measure = wrap(
        lambda x: gradient_noise(model, loss_fn, (x, np.ones(4)), parts=4), autograph=False
    )
    assert all(np.isnan(value) for value in measure(x))


def test_sums_scale_the_covariance_and_nothing_relative():
    model, batch = network(), samples()
    means = gradient_noise(model, CROSS_ENTROPY, batch, parts=4)
    sums = gradient_noise(model, cross_entropy("sum"), batch, parts=4)
    factors = (6, 36, 36, 1, 1)
    assert_close(sums, [f * v.numpy() for f, v in zip(factors, means, strict=True)], 1e-10)


def test_structures_of_arrays():
    """Two inputs by name, two outputs and targets: every array is split."""
    inputs = {name: keras.Input((2,), dtype="float64", name=name) for name in ("a", "b")}
    dense = [keras.layers.Dense(1, use_bias=False, dtype="float64") for _ in range(2)]
    model = keras.Model(inputs, [dense[0](inputs["a"]), dense[1](inputs["b"])])
    rng = np.random.default_rng(0)
    x = {name: rng.normal(size=(6, 2)) for name in ("a", "b")}
    y = [rng.normal(size=(6, 1)) for _ in range(2)]

    def loss_fn(y_true, y_pred):
        return tf.add_n([tf.reduce_mean(t * p) for t, p in zip(y_true, y_pred, strict=True)])

    per_sample = np.concatenate([y[0] * x["a"], y[1] * x["b"]], 1)
    expected = covariance(per_sample.reshape(3, 2, 4).mean(1))
    assert_close(gradient_noise(model, loss_fn, (x, y), parts=3), expected, 1e-10)


def test_at_given_weights():
    model, other, batch = network(), network(), samples()
    other.set_weights([w + 0.25 for w in other.get_weights()])
    actual = gradient_noise(model, CROSS_ENTROPY, batch, weights=other.trainable_variables)
    expected = [v.numpy() for v in gradient_noise(other, CROSS_ENTROPY, batch)]
    assert_close(actual, expected, 1e-10)
    assert error(gradient_noise(model, CROSS_ENTROPY, batch).trace, expected[1]) > 1e-3


def test_random_layers_draw_one_mask_for_all_parts_which_the_state_decides():
    """Equal parts differ only by masks: there is no noise, whatever the state."""
    inputs = keras.Input((8,), dtype="float64")
    dropped = keras.layers.Dropout(0.5, seed=1, dtype="float64")(inputs)
    dense = keras.layers.Dense(1, use_bias=False, dtype="float64")(dropped)
    model = keras.Model(inputs, dense)
    batch, found = (np.ones((6, 8)), np.ones(6)), []
    for shift in (0, 1):
        state = [v.numpy() + shift for v in model.non_trainable_variables]
        actual = gradient_noise(model, lambda y, p: tf.reduce_mean(p), batch, parts=3, state=state)
        assert actual.trace == 0
        found.append(float(actual.gradient_norm))
    assert found[0] != found[1]


def test_a_function_traces_the_model_once():
    model, batch, calls = network(), samples(), []

    def loss_fn(y_true, y_pred):
        calls.append(None)
        return CROSS_ENTROPY(y_true, y_pred)

    measure = tf.function(
        lambda x, y: gradient_noise(model, loss_fn, (x, y), parts=8),
        autograph=False,
        input_signature=[tf.TensorSpec([None, 3], tf.float64), tf.TensorSpec([None], tf.int64)],
    )
    expected = gradient_noise(model, CROSS_ENTROPY, batch, parts=8)
    assert_close(measure(*batch), [v.numpy() for v in expected], 1e-10)
    assert len(calls) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="reshape"):
        measure(*samples(23))


def test_on_replicas_part_k_is_made_of_all_their_parts_k(two_replicas, on_two_replicas):
    x, y = samples(12, "float32")
    x[6:] = 2 * x[6:] + 1
    pieces = [
        (
            np.concatenate([x[i : i + 2], x[i + 6 : i + 8]]),
            np.concatenate([y[i : i + 2], y[i + 6 : i + 8]]),
        )
        for i in (0, 2, 4)
    ]
    expected = covariance(gradients_of(network(dtype="float32"), CROSS_ENTROPY, pieces))
    with two_replicas.scope():
        model = network(synchronized=True, dtype="float32")
    results = on_two_replicas(
        lambda x, y: gradient_noise(model, CROSS_ENTROPY, (x, y), parts=3), x, y
    )
    for result in results:
        assert_close(result, expected, 1e-4)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_variable_stays_bit_identical(in_graph, variables_of_a_trained_model):
    model, batch, snapshot = variables_of_a_trained_model
    before = snapshot()
    wrap = tf.function if in_graph else lambda f, **options: f
    measured = wrap(
        lambda x, y: gradient_noise(model, CROSS_ENTROPY, (x, y), parts=2), autograph=False
    )(*map(tf.constant, batch))
    assert measured.trace > 0
    assert snapshot() == before


@pytest.mark.parametrize(
    "options, message",
    [
        ({"parts": 1}, "`parts` must be >= 2. Received: parts=1"),
        ({"parts": 5}, r"`parts` must divide the samples.*parts=5 for an array of shape \(24, 3\)"),
        ({"parts": 48}, "`parts` must divide the samples.*parts=48"),
        ({"weights": []}, r"`weights`.*Received: \[\], expected: \[\(3, 4\)"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    with pytest.raises(ValueError, match=message):
        gradient_noise(network(), CROSS_ENTROPY, samples(), **options)


def test_every_array_must_have_samples_on_its_first_axis():
    model, loss_fn = linear(2)
    for y in (np.ones(()), np.ones(3), np.ones(0)):
        with pytest.raises(ValueError, match=r"array of shape \((3,|0,|)\)"):
            gradient_noise(model, loss_fn, (np.ones((4, 2)), y), parts=2)
