"""The curvature against quadratics of a known spectrum, and dense Hessians in NumPy, float64.

The dense Hessians are central differences of gradients of a float64 copy of the network: nothing
in them is a second derivative by TensorFlow.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import error

from bnkit import models
from bnkit.layers import BatchNorm, LpNorm
from bnkit.probes.curvature import curvature
from bnkit.probes.objective import Objective


def cross_entropy(reduction="sum_over_batch_size"):
    return keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction, dtype="float64")


CROSS_ENTROPY = cross_entropy()


def quadratic(spectrum, weights=None, dtype="float64", seed=0):
    """`L(w) = w'Hw / 2`, H with the given eigenvalues: `(model, loss_fn, batch, Q)`, `H = Q D Q'`.

    The inputs are the eigenvectors, so that the outputs are the weights' components along them.
    `weights` are those components; 1 each by default.
    """
    n = len(spectrum)
    vectors = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]
    dense = keras.layers.Dense(1, use_bias=False, dtype=dtype)
    model = keras.Sequential([keras.Input((n,), dtype=dtype), dense])
    components = np.ones(n) if weights is None else np.asarray(weights)
    model.set_weights([(vectors @ components)[:, None]])
    batch = vectors.T.astype(dtype), np.asarray(spectrum, dtype)[:, None]
    return model, lambda y, p: tf.reduce_sum(y * tf.square(p)) / 2, batch, vectors


def measure(spectrum, weights=None, dtype="float64", **options):
    model, loss_fn, batch, _ = quadratic(spectrum, weights, dtype)
    return curvature(model, loss_fn, batch, **options)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize(
    "spectrum",
    [
        np.linspace(0.1, 5, 12),
        [-9.0, -3.0, 0.5, 2.0, 4.0],
        [-7.0, -5.0, -1.5],
        [3.0],
    ],
    ids=["positive", "largest in magnitude is negative", "all negative", "one weight"],
)
def test_the_largest_algebraic_eigenvalue_of_a_quadratic(spectrum, dtype, tolerance):
    spectrum = np.asarray(spectrum)
    weights = np.arange(1.0, len(spectrum) + 1)
    actual = measure(spectrum, weights, dtype, products=30, tolerance=0.0)
    gradient = spectrum * weights
    assert error(actual.loss, (spectrum * weights**2).sum() / 2) < tolerance
    assert error(actual.gradient_norm, np.linalg.norm(gradient)) < tolerance
    assert error(actual.sharpness, (spectrum * gradient**2).sum() / (gradient**2).sum()) < tolerance
    assert abs(actual.top_eigenvalue - spectrum.max()) < tolerance * abs(spectrum).max()
    assert actual.residual < tolerance * abs(spectrum).max()
    assert 1 <= actual.products <= len(spectrum)
    dtypes = [value.dtype.name for value in actual]
    assert dtypes == [*[dtype] * 5, "int32"]


@pytest.mark.parametrize("position", [0, 2, 4])
def test_sharpness_of_a_gradient_along_an_eigenvector_is_its_eigenvalue(position):
    """And the top eigenvalue is found although the gradient has no part in its vector."""
    spectrum = np.array([-4.0, 0.25, 1.0, 2.0, 6.0])
    actual = measure(spectrum, 3.0 * (np.arange(5) == position), tolerance=0.0)
    assert error(actual.sharpness, spectrum[position]) < 1e-12
    assert error(actual.gradient_norm, 3 * abs(spectrum[position])) < 1e-12
    assert error(actual.top_eigenvalue, 6) < 1e-10


def test_sharpness_is_the_slope_of_the_gradient_norm_along_the_gradient():
    """Where the loss is not quadratic: `(g - g(theta - s g)) . g / (s ||g||^2)` for small s."""
    model, batch = network([]), samples()
    actual = curvature(model, CROSS_ENTROPY, batch, products=1)
    theta, gradient = gradient_at(model, batch)
    g = gradient(theta)
    assert error(actual.sharpness, differences(gradient, theta, g) @ g / (g @ g)) < 1e-7


def network(norm, dtype="float64", shape=(3,), convolution=False):
    keras.utils.set_random_seed(0)
    first = keras.layers.Conv2D(3, 2, dtype=dtype) if convolution else None
    first = first or keras.layers.Dense(4, dtype=dtype)
    layers = [first, *(make(dtype=dtype) for make in norm)]
    layers += [keras.layers.Activation("tanh", dtype=dtype), keras.layers.Flatten(dtype=dtype)]
    layers.append(keras.layers.Dense(3, dtype=dtype))
    model = keras.Sequential([keras.Input(shape, dtype=dtype), *layers])
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) + (w == 1) for w in model.get_weights()])
    return model


def samples(count=8, shape=(3,), dtype="float64"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, *shape)).astype(dtype) + 0.5, rng.integers(0, 3, count)


def flat(tensors):
    return np.concatenate([np.ravel(np.asarray(t, np.float64)) for t in tensors])


def gradient_at(model, batch):
    """`theta` as one vector, and the function from such vectors to the gradient as one."""
    objective = Objective(model, CROSS_ENTROPY, batch)
    compiled = tf.function(objective.loss_and_gradient, autograph=False)
    ends = np.cumsum([w.shape.num_elements() for w in objective.weights])[:-1]

    def gradient(point):
        pairs = zip(np.split(point, ends), objective.weights, strict=True)
        return flat(compiled([tf.constant(p.reshape(w.shape), w.dtype) for p, w in pairs])[1])

    return flat(objective.weights), gradient


def differences(function, x, direction, step=1e-5):
    """Slope of a function at `x`, from both sides."""
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


def dense_hessian(model, batch):
    """`(H, g)` in NumPy, from the gradient on both sides of `theta` along every axis."""
    theta, gradient = gradient_at(model, batch)
    hessian = np.stack([differences(gradient, theta, axis) for axis in np.eye(len(theta))])
    assert error(hessian, hessian.T) < 1e-7
    return (hessian + hessian.T) / 2, gradient(theta)


def sharpness_of(hessian, gradient):
    return gradient @ hessian @ gradient / (gradient @ gradient)


NORMS = {
    "none": [],
    "batch": [BatchNorm],
    "maximum": [functools.partial(LpNorm, "inf")],
    "third power": [functools.partial(LpNorm, 3)],
    "layer": [keras.layers.LayerNormalization],
}


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_dense_hessian_of_a_network(norm):
    model, batch = network(NORMS[norm]), samples()
    hessian, gradient = dense_hessian(model, batch)
    spectrum = np.linalg.eigvalsh(hessian)
    actual = curvature(model, CROSS_ENTROPY, batch, products=len(hessian), tolerance=1e-8)
    assert error(actual.top_eigenvalue, spectrum[-1]) < 1e-7
    assert error(actual.sharpness, sharpness_of(hessian, gradient)) < 1e-6
    # Only some of the spectrum is positive: there is something to tell apart.
    assert spectrum[0] < -1e-3 * spectrum[-1]


@pytest.mark.parametrize("place", ["post", "pre"])
@pytest.mark.parametrize(
    "make",
    [
        lambda place: models.resnet(
            "bn", width=1 / 8, classes=3, input_shape=(4, 4, 2), norm_place=place,
            activation="elu", seed=0,
        ),
        lambda place: models.vision_transformer(
            "layer", 2, width=1 / 8, classes=3, input_shape=(8, 4, 2), norm_place=place, seed=0
        ),
    ],
    ids=["resnet", "vit"],
)  # fmt: skip
def test_sums_shortcuts_and_attention_have_their_second_derivatives(make, place):
    """The slope of the gradient along itself; the logits are float32 in a float64 network."""
    keras.config.set_dtype_policy("float64")
    model = make(place)
    batch = samples(shape=model.input_shape[1:])
    theta, gradient_of = gradient_at(model, batch)
    gradient = gradient_of(theta)
    unit = gradient / np.linalg.norm(gradient)
    expected = unit @ differences(gradient_of, theta, unit, step=1e-4)
    actual = curvature(model, CROSS_ENTROPY, batch, products=2).sharpness
    assert error(actual, expected) < 1e-3


@pytest.mark.parametrize("norm", ["batch", "maximum"])
def test_image_kernels_have_the_second_derivative_of_the_formula(norm):
    """In float32 the normalisations take TensorFlow's kernels, in float64 single operations."""
    shape = (4, 4, 2)
    exact = network(NORMS[norm], "float64", shape, convolution=True)
    hessian, gradient = dense_hessian(exact, samples(shape=shape))
    model = network(NORMS[norm], "float32", shape, convolution=True)
    batch = samples(shape=shape, dtype="float32")
    actual = curvature(model, CROSS_ENTROPY, batch, products=40, tolerance=1e-4)
    assert error(actual.top_eigenvalue, np.linalg.eigvalsh(hessian)[-1]) < 1e-4
    assert error(actual.sharpness, sharpness_of(hessian, gradient)) < 1e-4


@pytest.mark.parametrize("products", [1, 2, 3, 5])
def test_an_eigenvalue_lies_within_the_residual(products):
    """And neither it nor the residual is better than it looks, however few the products."""
    rng = np.random.default_rng(0)
    for seed in range(3):
        spectrum = np.sort(rng.normal(size=30) * 10)
        actual = measure(spectrum, products=products, seed=(1, seed))
        assert actual.products == products
        eigenvalue, residual = float(actual.top_eigenvalue), float(actual.residual)
        assert np.abs(spectrum - eigenvalue).min() <= residual
        assert eigenvalue < spectrum[-1]
        assert residual > 1e-3 * abs(spectrum[-1])


def test_the_residual_is_that_of_the_vector():
    """One product: v is the random start, lambda its Rayleigh quotient."""
    spectrum = np.array([-3.0, 1.0, 2.0, 8.0])
    model, loss_fn, batch, vectors = quadratic(spectrum)
    actual = curvature(model, loss_fn, batch, products=1, seed=(4, 5))
    v = tf.random.stateless_normal([4], (4, 5), dtype=tf.float64).numpy()
    v /= np.linalg.norm(v)
    image = vectors @ (spectrum * (vectors.T @ v))
    assert error(actual.top_eigenvalue, v @ image) < 1e-12
    assert error(actual.residual, np.linalg.norm(image - (v @ image) * v)) < 1e-12


def test_it_stops_as_soon_as_the_residual_allows():
    spectrum = np.append(np.linspace(0, 1, 40), 10.0)
    loose = measure(spectrum, products=41, tolerance=0.01)
    tight = measure(spectrum, products=41, tolerance=1e-6)
    assert 1 < loose.products < tight.products < 41
    for actual, tolerance in ((loose, 0.01), (tight, 1e-6)):
        assert actual.residual <= tolerance * actual.top_eigenvalue
        assert error(actual.top_eigenvalue, 10) <= tolerance
        before = measure(spectrum, products=int(actual.products) - 1, tolerance=0.0)
        assert before.residual > tolerance * before.top_eigenvalue


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "spectrum, products",
    [([2.0, 5.0], 2), ([-2.0, -5.0], 2), ([3.0] * 30, 1), ([0.0] * 30, 1), ([-1.0] * 30, 1)],
    ids=["two weights", "two weights, negative", "one eigenvalue", "zero", "negative"],
)
@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_a_space_that_is_used_up_ends_it_without_nan(spectrum, products, dtype, tolerance):
    """As many products as there are different eigenvalues span all that the start is made of."""
    actual = measure(spectrum, dtype=dtype, products=20, tolerance=tolerance)
    assert abs(actual.top_eigenvalue - max(spectrum)) < 1e-5
    assert actual.residual < 1e-5
    assert actual.products == products


def test_few_eigenvalues_need_few_products():
    spectrum = np.repeat([-6.0, 1.0, 4.0], 20)
    actual = measure(spectrum, products=20, tolerance=0.0)
    assert 3 <= actual.products <= 5
    assert error(actual.top_eigenvalue, 4) < 1e-12


def test_the_start_follows_from_the_seed():
    spectrum = np.linspace(-1, 1, 30)
    found = [measure(spectrum, products=3, seed=s).top_eigenvalue for s in ((0, 0), (0, 1), (1, 0))]
    assert len({float(value) for value in found}) == 3
    tf.random.set_seed(7)
    assert measure(spectrum, products=3).top_eigenvalue == found[0]
    assert measure(spectrum, products=3, seed=tf.constant([0, 1])).top_eigenvalue == found[1]


def line(weight, function):
    """A model with one weight and a loss of that weight."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((1, 1), weight)])
    return model, lambda y, p: tf.reduce_mean(function(p)), (np.ones((2, 1)), np.zeros((2, 1)))


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("weight, function", [(-1.0, tf.sqrt), (200.0, tf.cosh), (0.0, tf.sqrt)])
def test_a_gradient_that_is_not_finite_gives_nan(weight, function, in_graph):
    model, loss_fn, batch = line(weight, function)
    wrap = tf.function if in_graph else lambda f, **options: f
    actual = wrap(lambda: curvature(model, loss_fn, batch), autograph=False)()
    assert not np.isfinite(actual.gradient_norm)
    for value in (actual.sharpness, actual.top_eigenvalue, actual.residual):
        assert np.isnan(value)
    assert actual.products == 0


def test_a_hessian_that_is_not_finite_gives_nan():
    """The gradient of w^1.5 is finite at 0, its second derivative is not."""
    model, loss_fn, batch = line(0.0, lambda p: tf.sqrt(p) * p + 2 * p)
    function = tf.function(lambda: curvature(model, loss_fn, batch), autograph=False)
    for actual in (curvature(model, loss_fn, batch), function()):
        assert not np.isfinite(actual.sharpness)
        assert np.isnan(actual.top_eigenvalue)
        assert np.isnan(actual.residual)
        assert actual.products <= 1


def test_a_gradient_of_zero_has_an_eigenvalue_but_no_sharpness():
    actual = measure([-1.0, 2.0, 5.0], np.zeros(3))
    assert actual.gradient_norm == 0
    assert np.isnan(actual.sharpness)
    assert error(actual.top_eigenvalue, 5) < 1e-12


def test_weights_that_the_loss_does_not_use_have_no_curvature():
    """Nor those that it is linear in: no gradient of the gradient at all."""
    inputs = keras.Input((2,))
    outputs = [keras.layers.Dense(1, use_bias=False)(inputs) for _ in range(3)]
    model = keras.Model(inputs, outputs)
    batch = (np.eye(2, dtype="float32"), np.zeros((2, 1), "float32"))
    squares = curvature(
        model, lambda y, p: tf.reduce_sum(3 * p[0] ** 2 / 2 + p[1]), batch, tolerance=0.0
    )
    assert error(squares.top_eigenvalue, 3) < 1e-6
    linear = curvature(model, lambda y, p: tf.reduce_sum(p[0] + p[1]), batch)
    assert linear.sharpness == linear.top_eigenvalue == linear.residual == 0


def test_embeddings_have_curvature():
    """Squares of the rows that the batch looks up once, twice, and never."""
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(4, 2)])
    batch = np.array([[0, 1], [1, 2]]), np.zeros(2)

    def measure(x, y):
        return curvature(model, lambda y, p: tf.reduce_sum(p**2) / 2, (x, y), tolerance=1e-5)

    signature = [tf.TensorSpec([None, 2], tf.int64), tf.TensorSpec([None], tf.float64)]
    for function in (measure, tf.function(measure, signature, autograph=False)):
        assert error(function(*batch).top_eigenvalue, 2) < 1e-5


def test_weights_of_several_types():
    """As under a float64 policy with logits that stay float32: measured in the wider."""
    inputs = keras.Input((2,), dtype="float64")
    wide = keras.layers.Dense(1, use_bias=False, dtype="float64")(inputs)
    narrow = keras.layers.Dense(1, use_bias=False, dtype="float32")(inputs)
    model = keras.Model(inputs, [wide, narrow])

    def loss_fn(y_true, y_pred):
        wide, narrow = y_pred
        return tf.reduce_sum(wide**2) / 2 + 2 * tf.cast(tf.reduce_sum(narrow**2), tf.float64)

    actual = curvature(model, loss_fn, (np.eye(2), np.zeros(2)), tolerance=1e-5)
    assert actual.top_eigenvalue.dtype == tf.float64
    assert error(actual.top_eigenvalue, 4) < 1e-5


def test_at_given_weights():
    model, other = (network([BatchNorm], "float32") for _ in range(2))
    other.set_weights([w + 0.25 for w in other.get_weights()])
    batch = samples(dtype="float32")
    actual = curvature(model, CROSS_ENTROPY, batch, weights=other.trainable_variables)
    for got, want in zip(actual, curvature(other, CROSS_ENTROPY, batch), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    assert abs(actual.sharpness - curvature(model, CROSS_ENTROPY, batch).sharpness) > 1e-3


@pytest.mark.parametrize("tolerance", [0.0, 0.3])
def test_a_function_traces_the_model_once_and_gives_what_eager_calls_give(tolerance):
    model, batch = network([BatchNorm]), samples()
    calls = []

    def loss_fn(y_true, y_pred):
        calls.append(None)
        return CROSS_ENTROPY(y_true, y_pred)

    eager = curvature(model, loss_fn, batch, products=6, tolerance=tolerance)
    assert len(calls) == 1
    function = tf.function(
        lambda x, y: curvature(model, loss_fn, (x, y), products=6, tolerance=tolerance),
        autograph=False,
    )
    for factor in (1.0, 2.0):
        actual = function(batch[0] * factor, tf.constant(batch[1]))
        if factor == 1:
            for name, got, want in zip(eager._fields, actual, eager, strict=True):
                assert got.dtype == want.dtype
                np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-10, err_msg=name)
    assert len(calls) == 2
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("norm, reduction", [("batch", "sum_over_batch_size"), ("maximum", "sum")])
def test_on_replicas_it_is_that_of_the_global_batch(norm, reduction, two_replicas, on_two_replicas):
    x, y = samples(8)
    x[4:] = 2 * x[4:] + 1
    loss_fn = cross_entropy(reduction)
    expected = curvature(network(NORMS[norm]), loss_fn, (x, y), products=2, tolerance=0.0)
    with two_replicas.scope():
        model = network([functools.partial(make, synchronized=True) for make in NORMS[norm]])
    results = on_two_replicas(lambda x, y: curvature(model, loss_fn, (x, y), products=2), x, y)
    for result in results:
        for name, got, want in zip(expected._fields, result, expected, strict=True):
            assert error(got, want) < 1e-6, name
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("norm", [None, BatchNorm])
def test_on_replicas_a_convolution_after_another(norm, two_replicas, on_two_replicas):
    """With biases: oneDNN would compute their gradients together with those of the kernels."""

    def convolutions(**options):
        keras.utils.set_random_seed(0)
        layers = []
        for _ in range(2):
            layers.append(keras.layers.Conv2D(3, 2))
            if norm:
                layers.append(norm(**options))
            layers.append(keras.layers.Activation("tanh"))
        layers += [keras.layers.Flatten(), keras.layers.Dense(3)]
        return keras.Sequential([keras.Input((5, 5, 2)), *layers])

    x, y = samples(8, (5, 5, 2), "float32")
    expected = curvature(convolutions(), CROSS_ENTROPY, (x, y), products=3, tolerance=0.0)
    with two_replicas.scope():
        model = convolutions(synchronized=True)
    for result in on_two_replicas(
        lambda x, y: curvature(model, CROSS_ENTROPY, (x, y), products=3), x, y
    ):
        for name, got, want in zip(expected._fields, result, expected, strict=True):
            assert error(got, want) < 1e-5, name


def test_replicas_stop_where_the_space_is_used_up(two_replicas, on_two_replicas):
    """Two different eigenvalues and four products, of which the rest must not spoil the result."""
    with two_replicas.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.array([[1.0], [-1.0], [1.0], [-1.0]])])
    x = np.diag(np.sqrt([8, 2, 8, 2])).astype("float32")

    def half_mean_square(y_true, y_pred):
        return tf.reduce_mean(tf.square(y_pred)) / 2

    for result in on_two_replicas(
        lambda x, y: curvature(model, half_mean_square, (x, y), products=4), x, np.zeros(4)
    ):
        # H = diag(2, 1/2, 2, 1/2), g = (2, -1/2, 2, -1/2).
        assert error(result.sharpness, (2 * 4 + 0.5 / 4) / (4 + 1 / 4)) < 1e-6
        assert error(result.top_eigenvalue, 2) < 1e-6
        assert result.residual < 1e-6
        assert result.products == 2


def test_in_the_scope_of_a_strategy_it_is_that_of_the_batch(two_replicas):
    batch = samples()
    expected = curvature(network([BatchNorm]), CROSS_ENTROPY, batch)
    with two_replicas.scope():
        model = network([functools.partial(BatchNorm, synchronized=True)])
        actual = curvature(model, CROSS_ENTROPY, batch)
    for got, want in zip(actual, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_variable_stays_bit_identical(in_graph, variables_of_a_trained_model):
    model, batch, snapshot = variables_of_a_trained_model
    before = snapshot()
    wrap = tf.function if in_graph else lambda f, **options: f
    measured = wrap(
        lambda x, y: curvature(model, CROSS_ENTROPY, (x, y), products=3), autograph=False
    )(*map(tf.constant, batch))
    assert measured.products == 3
    assert np.isfinite(measured.top_eigenvalue)
    assert snapshot() == before


def test_dropout_draws_one_mask_for_all_products():
    """Otherwise H would be another one at every product, and no residual would get small."""
    inputs = keras.Input((16,))
    dropped = keras.layers.Dropout(0.5, seed=3)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(dropped))
    x = np.random.default_rng(0).normal(size=(4, 16)).astype("float32")

    def half_sum_square(y_true, y_pred):
        return tf.reduce_sum(y_pred**2) / 2

    state = [v.value for v in model.non_trainable_variables]
    masked, _ = keras.Model(inputs, dropped).stateless_call([], state, x, training=True)
    masked = masked.numpy()
    assert (masked == 0).any()
    actual = curvature(model, half_sum_square, (x, np.zeros(4)), tolerance=1e-4)
    assert error(actual.top_eigenvalue, np.linalg.eigvalsh(masked.T @ masked)[-1]) < 1e-5


def pooled(strides):
    layers = [
        keras.Input((4, 4, 1), dtype="float64"),
        keras.layers.Conv2D(2, 3, padding="same", activation="tanh", dtype="float64"),
        keras.layers.MaxPooling2D(2, strides=strides, padding="same", dtype="float64"),
        keras.layers.Flatten(dtype="float64"),
        keras.layers.Dense(3, dtype="float64"),
    ]
    keras.utils.set_random_seed(0)
    return keras.Sequential(layers), samples(shape=(4, 4, 1))


def test_max_pooling_in_a_function_is_right_or_refused():
    """TensorFlow's kernel is wrong in graphs where the pooling leaves the size as it is."""
    for strides in (1, 2):
        model, batch = pooled(strides)
        eager = curvature(model, CROSS_ENTROPY, batch, products=2)
        function = tf.function(
            lambda model=model, batch=batch: curvature(model, CROSS_ENTROPY, batch, products=2),
            autograph=False,
        )
        if strides == 1:
            with pytest.raises(ValueError, match=r"max pooling.*Received: one of shape \(4, 4, 2"):
                function()
        else:
            assert error(function().sharpness, eager.sharpness) < 1e-12
        theta, gradient = gradient_at(model, batch)
        g = gradient(theta)
        assert error(eager.sharpness, differences(gradient, theta, g) @ g / (g @ g)) < 1e-6


@pytest.mark.parametrize(
    "options, message",
    [
        ({"products": 0}, "`products` must be >= 1. Received: products=0"),
        ({"tolerance": -1.0}, "`tolerance` must be >= 0. Received: tolerance=-1.0"),
        ({"tolerance": float("nan")}, "`tolerance` must be >= 0. Received: tolerance=nan"),
        ({"weights": []}, r"`weights`.*Received: \[\], expected: \[\(2, 1\)\]"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    model, loss_fn, data, _ = quadratic([1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        curvature(model, loss_fn, data, **options)
