"""The landscape against quadratics worked out by hand, brute force, and the global batch.

float32 tolerances are relative. A gradient *distance* is a difference of two gradients: where it
is small against them, its error is that of the gradients.
"""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit import models
from bnkit.layers import BatchNorm
from bnkit.probes import landscape

STEP_SIZES = [0.05, 0.2, 0.4]
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def half_mean_square(y_true, y_pred):
    return tf.reduce_mean(tf.square(y_pred)) / 2


class Quadratic:
    """`L(w) = w'Hw / 2` with `H = A'A / m`: a dense layer without bias, A its batch."""

    def __init__(self, dtype="float32", samples=12, dimension=5):
        rng = np.random.default_rng(0)
        self.a = rng.normal(size=(samples, dimension))
        self.w = rng.normal(size=dimension)
        self.hessian = self.a.T @ self.a / samples
        self.gradient = self.hessian @ self.w
        dense = keras.layers.Dense(1, use_bias=False, dtype=dtype)
        self.model = keras.Sequential([keras.Input((dimension,), dtype=dtype), dense])
        self.model.set_weights([self.w[:, None]])
        self.batch = (self.a.astype(dtype), np.zeros((samples, 1), dtype))

    def loss(self, w):
        return w @ self.hessian @ w / 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_quadratic_gives_what_its_hessian_says(dtype):
    quadratic = Quadratic(dtype)
    g, curvature = quadratic.gradient, quadratic.hessian @ quadratic.gradient
    actual = landscape(quadratic.model, half_mean_square, quadratic.batch, STEP_SIZES)
    assert error(actual.loss, quadratic.loss(quadratic.w)) < 1e-6
    assert error(actual.gradient_norm, np.linalg.norm(g)) < 1e-6
    assert error(actual.losses, [quadratic.loss(quadratic.w - s * g) for s in STEP_SIZES]) < 1e-5
    distances = np.array(STEP_SIZES) * np.linalg.norm(curvature)
    assert error(actual.gradient_distances, distances) < 1e-5
    assert error(actual.smoothness, np.linalg.norm(curvature) / np.linalg.norm(g)) < 1e-5


def test_the_step_goes_down():
    quadratic = Quadratic()
    actual = landscape(quadratic.model, half_mean_square, quadratic.batch, [1e-2])
    slope = (actual.losses[0] - actual.loss) / 1e-2
    assert error(slope, -(actual.gradient_norm**2)) < 0.05


def test_smoothness_is_the_largest_over_the_grid_and_relative_to_step_and_gradient():
    """L = w^4 / 4 at w = 1: gradient 1, distances 1 - (1 - s)^3, the ratio falls with s."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.ones((1, 1))])
    batch = (np.ones((2, 1)), np.zeros((2, 1)))
    grid = [0.5, 0.125, 0.25]
    actual = landscape(model, lambda y, p: tf.reduce_mean(p**4) / 4, batch, grid)
    ratios = [(1 - (1 - s) ** 3) / s for s in grid]
    assert error(actual.gradient_distances, np.multiply(ratios, grid)) < 1e-6
    assert error(actual.smoothness, max(ratios)) < 1e-6
    assert max(ratios) == ratios[1]


@pytest.mark.parametrize("form", [list, tuple, np.array, tf.constant, iter])
def test_step_sizes_may_be_any_sequence(form):
    quadratic = Quadratic()
    expected = landscape(quadratic.model, half_mean_square, quadratic.batch, STEP_SIZES)
    actual = landscape(quadratic.model, half_mean_square, quadratic.batch, form(STEP_SIZES))
    assert actual.losses.shape == actual.gradient_distances.shape == (3,)
    assert error(actual.losses, expected.losses) < 1e-6


def images(samples=16, shape=(8, 8, 3), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, *shape)).astype("float32"), rng.integers(0, 10, samples)


def small_vgg(norm="bn", seed=0):
    return models.vgg(norm, width=1 / 32, input_shape=(8, 8, 3), seed=seed)


def brute_force(model, loss_fn, batch, step_sizes):
    """By the definition: weights set on a copy, a tape around an ordinary training call."""
    copy = keras.models.clone_model(model)
    x, y = batch

    def loss_and_gradient(weights):
        for variable, value in zip(copy.trainable_variables, weights, strict=True):
            variable.assign(value)
        with tf.GradientTape() as tape:
            loss = loss_fn(y, copy(x, training=True))
        return float(loss), [g.numpy() for g in tape.gradient(loss, copy.trainable_variables)]

    theta = [v.numpy() for v in model.trainable_variables]
    loss, gradient = loss_and_gradient(theta)
    size = reference.norm(gradient)
    losses, distances = [], []
    for s in step_sizes:
        there = loss_and_gradient([w - s * g for w, g in zip(theta, gradient, strict=True)])
        losses.append(there[0])
        pairs = zip(there[1], gradient, strict=True)
        distances.append(reference.norm([a - b for a, b in pairs]))
    smoothness = max(d / (s * size) for d, s in zip(distances, step_sizes, strict=True))
    return loss, size, losses, distances, smoothness


@pytest.mark.parametrize("norm", ["bn", "none"])
def test_equals_brute_force_on_a_vgg(norm):
    """Batch statistics included: with moving averages the loss would be another."""
    model, batch = small_vgg(norm), images()
    actual = landscape(model, CROSS_ENTROPY, batch, STEP_SIZES)
    expected = brute_force(model, CROSS_ENTROPY, batch, STEP_SIZES)
    for name, got, want in zip(actual._fields, actual, expected, strict=True):
        assert error(got, want) < 1e-4, name


def convolutional(norm):
    layers = [keras.Input((4, 4, 2)), keras.layers.Conv2D(3, 3), *norm, keras.layers.ReLU()]
    model = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(10)])
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) / 2)
    return model


def test_inside_a_function_as_eagerly():
    model, batch = convolutional([BatchNorm()]), images(shape=(4, 4, 2))

    @tf.function(autograph=False)
    def in_graph(x, y):
        return landscape(model, CROSS_ENTROPY, (x, y), STEP_SIZES)

    eager = landscape(model, CROSS_ENTROPY, batch, STEP_SIZES)
    for got, want in zip(in_graph(*map(tf.constant, batch)), eager, strict=True):
        assert got.dtype == tf.float32
        assert error(got, want) < 1e-4


def test_at_given_weights():
    model, other = (small_vgg("none", seed=seed) for seed in (0, 1))
    batch = images()
    actual = landscape(model, CROSS_ENTROPY, batch, [0.1], weights=other.trainable_variables)
    for got, want in zip(actual, landscape(other, CROSS_ENTROPY, batch, [0.1]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(
    "reduction, normalized",
    [
        ("sum_over_batch_size", False),
        ("sum_over_batch_size", True),
        ("sum", True),
        ("function", False),
    ],
)
def test_on_replicas_it_is_that_of_the_global_batch(
    reduction, normalized, two_replicas, on_two_replicas
):
    x, y = images(shape=(4, 4, 2))
    x[8:] = 2 * x[8:] + 1
    if reduction == "function":

        def loss_fn(y_true, y_pred):
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y_true, y_pred)
            return tf.reduce_mean(losses)

    else:
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    scale = 1 / 16 if reduction == "sum" else 1
    step_sizes = [s * scale for s in STEP_SIZES]
    norm = BatchNorm if normalized else None
    expected = landscape(convolutional([norm()] if norm else []), loss_fn, (x, y), step_sizes)
    with two_replicas.scope():
        model = convolutional([norm(synchronized=True)] if norm else [])

    results = on_two_replicas(lambda x, y: landscape(model, loss_fn, (x, y), step_sizes), x, y)

    for result in results:
        for name, got, want in zip(expected._fields, result, expected, strict=True):
            assert error(got, want) < 1e-4, name
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_in_the_scope_of_a_strategy_it_is_that_of_the_batch(two_replicas):
    x, y = images(shape=(4, 4, 2))
    expected = landscape(convolutional([BatchNorm()]), CROSS_ENTROPY, (x, y), STEP_SIZES)
    with two_replicas.scope():
        model = convolutional([BatchNorm(synchronized=True)])
        actual = landscape(model, CROSS_ENTROPY, (x, y), STEP_SIZES)
    for got, want in zip(actual, expected, strict=True):
        assert error(got, want) < 1e-5


def line(weight, exponent_of):
    """A model with one weight and a loss of that weight."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((1, 1), weight)])
    return model, lambda y, p: tf.reduce_mean(exponent_of(p)), (np.ones((2, 1)), np.zeros((2, 1)))


def test_a_loss_that_overflows_on_the_way_is_reported_as_it_is():
    """cosh at -2 down its gradient: with s = 100 at 360, far past exp's range; s = 0.1 is fine."""
    model, loss_fn, batch = line(-2.0, tf.cosh)
    actual = landscape(model, loss_fn, batch, [0.1, 100.0])
    assert error(actual.losses[0], np.cosh(-2 - 0.1 * np.sinh(-2))) < 1e-5
    assert np.isinf(actual.losses[1])
    assert np.isinf(actual.gradient_distances[1])
    assert np.isinf(actual.smoothness)


@pytest.mark.parametrize("points", [2, 9, 17])
def test_one_undefined_point_makes_smoothness_nan(points):
    """sqrt is nan past zero; a maximum must not pass over it, at no length of vector."""
    model, loss_fn, batch = line(1.0, tf.sqrt)
    step_sizes = [0.1] * (points - 1) + [3.0]
    for grid in (step_sizes, step_sizes[::-1]):
        actual = landscape(model, loss_fn, batch, grid)
        undefined = np.array(grid) == 3.0
        np.testing.assert_array_equal(np.isnan(actual.losses), undefined)
        np.testing.assert_array_equal(np.isnan(actual.gradient_distances), undefined)
        assert np.isnan(actual.smoothness)
    assert np.isfinite(landscape(model, loss_fn, batch, step_sizes[:-1]).smoothness)


def test_a_loss_that_is_not_finite_at_the_start():
    model, loss_fn, batch = line(-1.0, tf.math.log)
    actual = landscape(model, loss_fn, batch, [0.1])
    assert np.isnan(actual.loss)
    model, loss_fn, batch = line(200.0, tf.cosh)
    actual = landscape(model, loss_fn, batch, [0.1])
    assert np.isinf(actual.loss)
    assert not np.isfinite(actual.gradient_norm)
    assert np.isnan(actual.smoothness)


def test_a_gradient_of_zero_has_no_smoothness():
    model, loss_fn, batch = line(0.0, tf.square)
    actual = landscape(model, loss_fn, batch, STEP_SIZES)
    assert actual.gradient_norm == 0
    np.testing.assert_array_equal(actual.gradient_distances, np.zeros(3))
    assert np.isnan(actual.smoothness)


def test_dropout_draws_one_mask_for_all_points():
    """With one mask the mean output is linear in the weights: no gradient ever changes."""
    inputs = keras.Input((64,))
    dropped = keras.layers.Dropout(0.5, seed=3)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(dropped))
    batch = (np.random.default_rng(0).normal(size=(4, 64)).astype("float32"), np.zeros((4, 1)))

    def mean(y_true, y_pred):
        return tf.reduce_mean(y_pred)

    actual = landscape(model, mean, batch, STEP_SIZES)
    np.testing.assert_array_equal(actual.gradient_distances, np.zeros(3))
    assert actual.smoothness == 0
    expected = actual.loss - np.array(STEP_SIZES) * actual.gradient_norm**2
    np.testing.assert_allclose(actual.losses, expected, atol=1e-5)
    for got, want in zip(landscape(model, mean, batch, STEP_SIZES), actual, strict=True):
        np.testing.assert_array_equal(got, want)
    # There is a mask: without it the gradient is the mean of the inputs.
    assert error(actual.gradient_norm, np.linalg.norm(batch[0].mean(0))) > 0.01


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_variable_stays_bit_identical(in_graph, variables_of_a_trained_model):
    model, batch, snapshot = variables_of_a_trained_model
    before = snapshot()
    measure = landscape
    if in_graph:
        measure = tf.function(
            lambda *args: landscape(*args, step_sizes=STEP_SIZES), autograph=False
        )
        measure(model, CROSS_ENTROPY, tuple(map(tf.constant, batch)))
    else:
        measure(model, CROSS_ENTROPY, batch, STEP_SIZES)
    assert snapshot() == before


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_close_to_single(policy):
    """Of few layers: at its start a deep network with BN blows rounding up."""
    batch = images(shape=(4, 4, 2))
    expected = landscape(convolutional([BatchNorm()]), CROSS_ENTROPY, batch, STEP_SIZES)
    keras.config.set_dtype_policy(policy)
    model = convolutional([BatchNorm()])
    actual = landscape(model, CROSS_ENTROPY, batch, STEP_SIZES)
    assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
    assert {value.dtype for value in actual} == {tf.float32}
    # bfloat16 rounds to 0.4 %, and a change of gradients is some times smaller than these.
    for name, got, want in zip(actual._fields, actual, expected, strict=True):
        assert error(got, want) < 0.1, name


@pytest.mark.parametrize(
    "options, message",
    [
        ({"direction": "up"}, "`direction` must be 'gradient' or 'random'.*direction='up'"),
        ({"step_sizes": []}, r"`step_sizes` must be finite and > 0.*step_sizes=\[\]"),
        ({"step_sizes": [0.1, 0.0]}, r"step_sizes=\[0\.1, 0\.0\]"),
        ({"step_sizes": [-0.1]}, r"step_sizes=\[-0\.1\]"),
        ({"step_sizes": [float("nan")]}, r"step_sizes=\[nan\]"),
        ({"step_sizes": [float("inf")]}, r"step_sizes=\[inf\]"),
        ({"weights": []}, r"`weights`.*Received: \[\], expected: \[\(5, 1\)\]"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    quadratic = Quadratic()
    arguments = {"step_sizes": STEP_SIZES, **options}
    with pytest.raises(ValueError, match=message):
        landscape(quadratic.model, half_mean_square, quadratic.batch, **arguments)


class Sphere:
    """`L(w) = ||w||^2 / 2` over two kernels: the gradient is w, and the Hessian the identity.

    The inputs are the identity, so that each output is a weight, and all targets 0. The second
    kernel is minus the first: with one draw for both, no direction would have a part along w.
    """

    def __init__(self, dtype="float64", dimension=6):
        inputs = keras.Input((dimension,), dtype=dtype)
        outputs = [
            keras.layers.Dense(1, use_bias=False, dtype=dtype, name=name)(inputs)
            for name in ("one", "two")
        ]
        self.model = keras.Model(inputs, keras.layers.Concatenate(dtype=dtype)(outputs))
        half = np.random.default_rng(0).normal(size=(dimension, 1))
        self.model.set_weights([half, -half])
        self.dimension = 2 * dimension
        self.square = 2 * (half**2).sum()
        self.batch = (np.eye(dimension, dtype=dtype), np.zeros((dimension, 2), dtype))

    def loss(self, y_true, y_pred):
        return tf.reduce_sum(tf.square(y_pred)) / 2

    def random(self, seed, step_sizes=(0.5, 1.0, 2.0)):
        return landscape(self.model, self.loss, self.batch, step_sizes, "random", seed=seed)

    def along(self, measured, step_sizes=(0.5, 1.0, 2.0)):
        """`w.d / ||w||^2` from `L(w - s d) = ||w||^2 / 2 - s w.d + s^2 ||d||^2 / 2`, at each s."""
        s = np.array(step_sizes)
        inner = (self.square / 2 * (1 + s**2) - measured.losses.numpy()) / s
        return inner / self.square


def test_a_random_direction_is_as_long_as_the_gradient():
    """Hessian 1: the gradient changes by as much as the weights, s times the norm of d."""
    sphere = Sphere()
    size = np.sqrt(sphere.square)
    for seed in ([0, 0], [3, 7]):
        actual = sphere.random(seed)
        assert error(actual.loss, sphere.square / 2) < 1e-6
        assert error(actual.gradient_norm, size) < 1e-12
        assert error(actual.gradient_distances, size * np.array([0.5, 1.0, 2.0])) < 1e-12
        assert error(actual.smoothness, 1) < 1e-12


def test_all_step_sizes_go_along_one_random_direction():
    """They agree on w.d, to the float32 of the losses; down the gradient it is all of it."""
    sphere = Sphere()
    along = sphere.along(sphere.random([0, 1]))
    np.testing.assert_allclose(along, along[0], atol=1e-5)
    assert 1e-3 < abs(along[0]) < 0.99
    gradient = landscape(sphere.model, sphere.loss, sphere.batch, [0.5, 1.0, 2.0])
    np.testing.assert_allclose(sphere.along(gradient), 1, atol=1e-5)


def test_random_directions_follow_from_the_seed():
    sphere = Sphere()
    seeds = [[0, 0], [0, 1], [1, 0], [1, 1], [2**31 - 1, 5]]
    measured = [sphere.random(seed).losses.numpy() for seed in seeds]
    for seed, losses in zip(seeds, measured, strict=True):
        np.testing.assert_array_equal(sphere.random(tf.constant(seed)).losses, losses)
    first = [losses[0] for losses in measured]
    assert len(set(first)) == len(seeds)
    tf.random.set_seed(1)
    np.testing.assert_array_equal(sphere.random([0, 0]).losses, measured[0])


def test_random_directions_have_no_preference():
    """Over n seeds the cosine c of w and d has mean 0 and mean square 1/N in N dimensions.

    Both within four standard errors: c^2 has the variance `2 (N - 1) / (N^2 (N + 2))`.
    """
    sphere, draws = Sphere("float32"), 400
    measure = tf.function(lambda seed: sphere.random(seed, [1.0]).losses, autograph=False)
    losses = np.array([measure(tf.constant([0, i])).numpy()[0] for i in range(draws)])
    cosines = 1 - losses / sphere.square
    n = sphere.dimension
    assert abs(cosines.mean()) < 4 / np.sqrt(n * draws)
    spread = np.sqrt(2 * (n - 1) / (n**2 * (n + 2)) / draws)
    assert abs((cosines**2).mean() - 1 / n) < 4 * spread
    # They are draws of their own: neighbours are not alike.
    correlation = np.corrcoef(cosines[:-1], cosines[1:])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(draws)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_random_direction_in_a_function_is_the_eager_one(dtype):
    sphere = Sphere(dtype)
    in_graph = tf.function(lambda seed: sphere.random(seed), autograph=False)
    for got, want in zip(in_graph(tf.constant([4, 2])), sphere.random([4, 2]), strict=True):
        assert got.dtype == want.dtype
        assert error(got, want) < 1e-5


def test_replicas_go_along_the_same_random_direction(two_replicas, on_two_replicas):
    """From different halves of the batch: one direction, and the losses of the global batch."""
    x, y = images(shape=(4, 4, 2))
    x[8:] = 2 * x[8:] + 1
    options = {"step_sizes": [0.05, 0.4], "direction": "random", "seed": [2, 3]}
    expected = landscape(convolutional([]), CROSS_ENTROPY, (x, y), **options)
    with two_replicas.scope():
        model = convolutional([])
    results = on_two_replicas(lambda x, y: landscape(model, CROSS_ENTROPY, (x, y), **options), x, y)
    for result in results:
        for name, got, want in zip(expected._fields, result, expected, strict=True):
            assert error(got, want) < 1e-4, name
    other = landscape(convolutional([]), CROSS_ENTROPY, (x, y), **{**options, "seed": [2, 4]})
    assert error(other.losses, expected.losses) > 1e-2


def test_no_random_direction_is_scaled_to_a_gradient_of_zero():
    model, loss_fn, batch = line(0.0, tf.square)
    actual = landscape(model, loss_fn, batch, STEP_SIZES, "random", seed=[0, 0])
    np.testing.assert_array_equal(actual.losses, np.zeros(3))
    np.testing.assert_array_equal(actual.gradient_distances, np.zeros(3))
    assert np.isnan(actual.smoothness)


def test_a_random_direction_leaves_every_variable_bit_identical(variables_of_a_trained_model):
    model, batch, snapshot = variables_of_a_trained_model
    before = snapshot()
    actual = landscape(model, CROSS_ENTROPY, batch, STEP_SIZES, "random", seed=[0, 0])
    assert min(actual.gradient_distances) > 0
    assert snapshot() == before


@pytest.mark.parametrize(
    "options, message",
    [
        ({"direction": "random"}, "needs a `seed`.*direction='random', seed=None"),
        ({"direction": "gradient", "seed": [1, 2]}, r"direction='gradient', seed=\[1, 2\]"),
        ({"seed": [1, 2]}, r"no other takes one.*direction='gradient', seed=\[1, 2\]"),
        ({"direction": "up", "seed": [1, 2]}, "`direction` must be.*direction='up'"),
        ({"direction": None}, "`direction` must be.*direction=None"),
    ],
)
def test_a_seed_goes_with_a_random_direction(options, message):
    quadratic = Quadratic()
    with pytest.raises(ValueError, match=message):
        landscape(quadratic.model, half_mean_square, quadratic.batch, STEP_SIZES, **options)
