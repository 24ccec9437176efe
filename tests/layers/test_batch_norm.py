"""BatchNorm against a NumPy float64 reference, against Keras, and against itself.

Tolerances are relative to the largest magnitude (`reference.error`). float32 has a unit roundoff
of 6e-8; a sum over at most 100 numbers of order 1, a square root and a division add up to some
tens of it: 1e-5 leaves an order of magnitude.
"""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit.layers import BatchNorm

FLOAT32 = 1e-5

CASES = {
    "dense": ((16, 5), -1),
    "sequence": ((6, 7, 5), -1),
    "image": ((4, 3, 3, 5), -1),
    "dense axis 1": ((16, 5), 1),
    "sequence axis 1": ((6, 5, 7), 1),
    "image axis 1": ((4, 5, 3, 3), 1),
}
each_case = pytest.mark.parametrize("shape, axis", CASES.values(), ids=CASES.keys())
dense_and_image = pytest.mark.parametrize("shape", [(64, 5), (4, 4, 4, 5)], ids=["dense", "image"])


def random_batch(shape, axis=-1, seed=0):
    """Units with different means and deviations."""
    rng = np.random.default_rng(seed)
    units = shape[axis]
    x = rng.normal(size=(*np.delete(shape, axis), units))
    x = x * rng.uniform(0.3, 3.0, units) + rng.normal(0, 2, units)
    return np.moveaxis(x, -1, axis).astype("float32")


def scale_and_shift(units, seed=7):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 2.0, units), rng.normal(0, 1, units)


def loss_weights(shape, seed=3):
    """`dL/dz` of the loss `sum(loss_weights * z)`."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(layer, shape, gamma=None, beta=None):
    layer.build((None, *shape[1:]))
    if layer.gamma is not None and gamma is not None:
        layer.gamma.assign(gamma)
    if layer.beta is not None and beta is not None:
        layer.beta.assign(beta)
    return layer


def observe(layer, batches, weights):
    """Everything observable: training on the batches, gradients on the last, then inference."""
    for batch in batches:
        x = tf.constant(batch)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs * tf.cast(weights, outputs.dtype))
    gradient = tape.gradient(loss, {"x": x, **{v.name: v.value for v in layer.trainable_variables}})
    return {
        "outputs": outputs,
        **{f"gradient of {name}": value for name, value in gradient.items()},
        "moving mean": layer.moving_mean,
        "moving variance": layer.moving_variance,
        "inference": layer(batches[0], training=False),
    }


def expected_from_reference(batches, weights, gamma, beta, momentum, epsilon, axis):
    results = [reference.batch_norm(b, gamma, beta, epsilon, axis) for b in batches]
    x, by_gamma, by_beta = reference.batch_norm_gradient(weights, batches[-1], gamma, epsilon, axis)
    mean = reference.moving_average(np.zeros_like(gamma), [r.mean for r in results], momentum)
    variance = reference.moving_average(
        np.ones_like(gamma), [r.variance for r in results], momentum
    )
    return {
        "outputs": results[-1].outputs,
        "gradient of x": x,
        "gradient of gamma": by_gamma,
        "gradient of beta": by_beta,
        "moving mean": mean,
        "moving variance": variance,
        "inference": reference.batch_norm_inference(
            batches[0], gamma, beta, mean, variance, epsilon, axis
        ),
    }


def assert_all_close(actual, expected, tolerance):
    assert actual.keys() == expected.keys()
    errors = {name: error(actual[name], expected[name]) for name in expected}
    assert all(value < tolerance for value in errors.values()), errors


@each_case
def test_equals_the_numpy_reference_and_keras(shape, axis):
    gamma, beta = scale_and_shift(shape[axis])
    batches = [random_batch(shape, axis, seed) for seed in range(3)]
    weights = loss_weights(shape)
    options = {"momentum": 0.7, "epsilon": 1e-2, "axis": axis}

    actual = observe(built(BatchNorm(**options), shape, gamma, beta), batches, weights)

    expected = expected_from_reference(batches, weights, gamma, beta, **options)
    assert_all_close(actual, expected, FLOAT32)
    keras_layer = built(keras.layers.BatchNormalization(**options), shape, gamma, beta)
    assert_all_close(actual, observe(keras_layer, batches, weights), FLOAT32)


@dense_and_image
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_without_shift_or_scale(shape, center, scale):
    gamma, beta = scale_and_shift(shape[-1])
    gamma, beta = gamma if scale else np.ones(5), beta if center else np.zeros(5)
    layer = built(BatchNorm(center=center, scale=scale), shape, gamma, beta)
    batches, weights = [random_batch(shape)], loss_weights(shape)
    expected = expected_from_reference(batches, weights, gamma, beta, 0.9, 1e-5, -1)
    if not scale:
        del expected["gradient of gamma"]
    if not center:
        del expected["gradient of beta"]

    assert [v.name for v in layer.trainable_variables] == ["gamma"] * scale + ["beta"] * center
    assert_all_close(observe(layer, batches, weights), expected, FLOAT32)


@each_case
def test_float64_gradients_equal_central_differences(shape, axis):
    """Step 1e-5: truncation about 1e-10, rounding 1e-16 / 1e-5; of losses of order 10."""
    shape = (3, *shape[1:])
    gamma, beta = scale_and_shift(shape[axis])
    x = random_batch(shape, axis).astype("float64")
    weights = loss_weights(shape).astype("float64")
    layer = built(BatchNorm(axis=axis, epsilon=1e-2, dtype="float64"), shape, gamma, beta)

    def loss(x=x, gamma=gamma, beta=beta):
        layer.gamma.assign(gamma)
        layer.beta.assign(beta)
        return float(tf.reduce_sum(tf.sin(layer(x, training=True)) * weights))

    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        value = tf.reduce_sum(tf.sin(layer(inputs, training=True)) * weights)
    actual = tape.gradient(value, [inputs, layer.gamma.value, layer.beta.value])
    assert actual[0].dtype == tf.float64
    assert error(actual[0], reference.central_differences(loss, x)) < 1e-7
    assert error(actual[1], reference.central_differences(lambda g: loss(gamma=g), gamma)) < 1e-7
    assert error(actual[2], reference.central_differences(lambda b: loss(beta=b), beta)) < 1e-7


@dense_and_image
def test_float32_agrees_with_float64(shape):
    """For images this is the fused kernel against single ops."""
    gamma, beta = scale_and_shift(shape[-1])
    batches = [random_batch(shape, seed=seed) for seed in range(2)]
    weights = loss_weights(shape)
    single, double = (
        observe(
            built(BatchNorm(dtype=dtype), shape, gamma, beta),
            [b.astype(dtype) for b in batches],
            weights,
        )
        for dtype in ("float32", "float64")
    )
    assert single["outputs"].dtype == tf.float32
    assert double["outputs"].dtype == tf.float64
    assert_all_close(single, double, FLOAT32)


@pytest.mark.parametrize(
    "shape, options, fused",
    [
        ((2, 3, 3, 4), {}, True),
        ((2, 3, 3, 4), {"dtype": "mixed_bfloat16"}, True),
        ((2, 3, 3, 4), {"center": False, "scale": False}, True),
        ((2, 3, 3, 4), {"axis": 1}, False),
        ((2, 3, 3, 4), {"dtype": "float64"}, False),
        ((2, 4), {}, False),
    ],
)
def test_images_with_channels_last_take_the_fused_kernel(shape, options, fused):
    layer = built(BatchNorm(**options), shape)
    call = tf.function(lambda x: layer(x, training=True), autograph=False)
    graph = call.get_concrete_function(tf.TensorSpec(shape, layer.compute_dtype)).graph
    kernels = {operation.type for operation in graph.get_operations()}
    assert ("FusedBatchNormV3" in kernels) == fused


@dense_and_image
def test_a_constant_unit_gives_the_shift_and_finite_gradients(shape):
    """With variance 0 an error of the mean, 1 ulp, is divided by sqrt(epsilon) = 3e-3: 1e-4."""
    gamma, beta = scale_and_shift(5)
    x = np.broadcast_to(np.float32([3.3, -0.7, 0.0, 1.0, 0.1]), shape)
    layer, weights = built(BatchNorm(), shape, gamma, beta), loss_weights(shape)
    actual = observe(layer, [x], weights)
    np.testing.assert_allclose(actual["outputs"], np.broadcast_to(beta, shape), atol=1e-3)
    np.testing.assert_allclose(actual["moving variance"], np.full(5, 0.9), rtol=1e-6)
    expected, *_ = reference.batch_norm_gradient(weights, x, gamma)
    assert error(actual["gradient of x"], expected) < 1e-3


@pytest.mark.parametrize("shape", [(1, 5), (1, 1, 1, 5)], ids=["dense", "1x1 image"])
def test_a_batch_of_one_value_gives_the_shift(shape):
    """One value has variance 0; a kernel that divides by n - 1 must not divide by 0."""
    gamma, beta = scale_and_shift(5)
    x = random_batch(shape)
    layer = built(BatchNorm(momentum=0.5), shape, gamma, beta)
    actual = observe(layer, [x], loss_weights(shape))
    np.testing.assert_allclose(actual["outputs"], np.broadcast_to(beta, shape), rtol=1e-6)
    np.testing.assert_array_equal(actual["gradient of x"], np.zeros(shape))
    np.testing.assert_allclose(actual["moving mean"], x.ravel() / 2, rtol=1e-6)
    np.testing.assert_allclose(actual["moving variance"], np.full(5, 0.5), rtol=1e-6)


def test_one_image_is_normalized_over_its_pixels():
    x = random_batch((1, 4, 4, 5))
    layer = built(BatchNorm(momentum=0.0), x.shape)
    expected = reference.batch_norm(x)
    assert error(layer(x, training=True), expected.outputs) < FLOAT32
    assert error(layer.moving_variance, expected.variance) < FLOAT32


@dense_and_image
def test_a_mean_far_from_zero_costs_no_more_than_its_rounding(shape):
    """float32 has a spacing of 1e-3 at 1e4, so a mean is off by as much and outputs with it.

    `mean(x^2) - mean(x)^2` would be off by several units in the variance. In inference mode with
    an exact mean nothing is lost.
    """
    gamma, beta = scale_and_shift(5)
    x = (1e4 + np.random.default_rng(0).normal(size=shape)).astype("float32")
    weights = loss_weights(shape)
    expected = reference.batch_norm(x, gamma, beta)
    layer = built(BatchNorm(momentum=0.0), shape, gamma, beta)
    actual = observe(layer, [x], weights)
    np.testing.assert_allclose(actual["outputs"], expected.outputs, atol=5e-3)
    np.testing.assert_allclose(actual["moving mean"], expected.mean, rtol=2e-7)
    np.testing.assert_allclose(actual["moving variance"], expected.variance, rtol=1e-4)
    by_input, *_ = reference.batch_norm_gradient(weights, x, gamma)
    assert error(actual["gradient of x"], by_input) < 5e-3

    layer.moving_mean.assign(np.full(5, 1e4))
    layer.moving_variance.assign(expected.variance)
    exact = reference.batch_norm_inference(x, gamma, beta, 1e4, expected.variance)
    assert error(layer(x, training=False), exact) < 1e-6


@pytest.mark.parametrize("axis", [-1, 1], ids=["fused", "single ops"])
def test_sums_over_a_real_layers_size_keep_their_digits(axis):
    """131,072 values per unit, as in a first layer at batch 128; mean 1e3 times the deviation.

    float32 sums of so many values are off by up to 1e-5 of the mean, which is 1e-2 of outputs.
    """
    x = (1e3 + np.random.default_rng(0).normal(size=(128, 32, 32, 4))).astype("float32")
    expected = reference.batch_norm(x)
    x = np.moveaxis(x, -1, axis)
    layer = built(BatchNorm(momentum=0.0, axis=axis), x.shape)
    outputs = np.moveaxis(layer(x, training=True), axis, -1)
    np.testing.assert_allclose(outputs, expected.outputs, atol=1e-2)
    np.testing.assert_allclose(layer.moving_mean, expected.mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, expected.variance, rtol=2e-4)


@dense_and_image
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_theorem_4_1_holds_with_equality(shape, dtype):
    """||dL_hat/dy||^2 = gamma^2/sigma^2 (||dL/dz||^2 - <1, dL/dz>^2 / m - <dL/dz, y_hat>^2 / m)."""
    gamma, beta = scale_and_shift(5)
    y, by_z = random_batch(shape).astype(dtype), loss_weights(shape).astype(dtype)
    layer = built(BatchNorm(epsilon=0.0, dtype=dtype), shape, gamma, beta)
    by_y = observe(layer, [y], by_z)["gradient of x"]

    result = reference.batch_norm(y, epsilon=0.0)
    by_y, by_z, y_hat = (
        np.reshape(values, (-1, 5)).astype("float64") for values in (by_y, by_z, result.normalized)
    )
    m = len(by_z)
    bound = (by_z**2).sum(0) - by_z.sum(0) ** 2 / m - (by_z * y_hat).sum(0) ** 2 / m
    np.testing.assert_allclose((by_y**2).sum(0), gamma**2 / result.variance * bound, rtol=1e-5)


@dense_and_image
def test_outputs_do_not_change_with_shift_and_scale_of_the_input(shape):
    """Inputs of order 10 instead of 1 lose one digit: ten times the tolerance."""
    layer = built(BatchNorm(epsilon=0.0), shape, *scale_and_shift(5))
    x = random_batch(shape)
    factor, shift = np.float32([0.5, 2, 3, 7, 0.1]), np.float32([1, -2, 10, 0, 3])
    outputs = layer(x, training=True)
    assert error(layer(x * factor + shift, training=True), outputs) < 10 * FLOAT32
    flipped = layer(-x, training=True) - layer.beta
    assert error(flipped, layer.beta - outputs) < FLOAT32


@dense_and_image
def test_input_gradients_are_orthogonal_to_shift_and_scale(shape):
    """The other side of the invariance: <1, dL/dx> = 0 and, with epsilon 0, <x, dL/dx> = 0."""
    layer = built(BatchNorm(epsilon=0.0), shape, *scale_and_shift(5))
    x = random_batch(shape)
    by_x = observe(layer, [x], loss_weights(shape))["gradient of x"]
    x, by_x = x.reshape(-1, 5), np.reshape(by_x, (-1, 5))
    size = np.linalg.norm(by_x, axis=0)
    np.testing.assert_allclose(by_x.sum(0) / size, 0, atol=FLOAT32)
    np.testing.assert_allclose((x * by_x).sum(0) / size, 0, atol=10 * FLOAT32)


@dense_and_image
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({}, 1e-4),
        ({"scale": False}, 1e-4),
        ({"center": False}, 1e-4),
        # Three digits of the activations, in sums of many terms.
        ({"dtype": "mixed_float16"}, 1e-2),
    ],
    ids=["both", "no scale", "no shift", "float16"],
)
def test_hessian_vector_products_equal_differences_of_gradients(
    shape, in_graph, options, tolerance
):
    """Those of the gradients in float64, whose error is 1e-9, at inputs that float16 can hold."""
    units, weights = shape[-1], loss_weights(shape)
    x = random_batch(shape).astype("float16")
    parameters = dict(zip(("scale", "center"), scale_and_shift(units), strict=True))
    at = [x, *[value for name, value in parameters.items() if options.get(name, True)]]
    rng = np.random.default_rng(11)
    direction = [rng.normal(size=np.shape(value)) for value in at]
    layers = {
        name: built(BatchNorm(**{**options, "dtype": dtype}, epsilon=1e-2), shape)
        for name, dtype in (("tested", options.get("dtype", "float32")), ("float64", "float64"))
    }

    def gradient(values, name):
        """At any values of input, scale and shift; `stateless_call` puts them into the layer."""
        layer = layers[name]
        state = [v.value for v in layer.non_trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs, _ = layer.stateless_call(values[1:], state, values[0], training=True)
            outputs = tf.cast(outputs, tf.as_dtype(layer.variable_dtype))
            loss = tf.reduce_sum(tf.sin(outputs) * tf.cast(weights, outputs.dtype))
        return tape.gradient(loss, values)

    def product(values, along):
        with tf.GradientTape() as tape:
            tape.watch(values)
            inner = gradient(values, "tested")
        return tape.gradient(inner, values, output_gradients=along)

    def moved(step):
        values = [v + step * d for v, d in zip(at, direction, strict=True)]
        return gradient([tf.constant(v, tf.float64) for v in values], "float64")

    single = [[tf.constant(v, tf.float32) for v in values] for values in (at, direction)]
    actual = (tf.function(product, autograph=False) if in_graph else product)(*single)
    for got, ahead, behind in zip(actual, moved(1e-5), moved(-1e-5), strict=True):
        assert error(got, (ahead - behind) / 2e-5) < tolerance


@pytest.mark.parametrize("shape", [(4096, 3), (16, 16, 16, 3)], ids=["dense", "image"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_statistics_in_float32(policy, shape):
    """The sum of 4096 values around 100 overflows float16, and bfloat16 has three digits."""
    gamma, beta = scale_and_shift(3)
    layer = built(BatchNorm(momentum=0.0, dtype=policy), shape, gamma, beta)
    half = tf.as_dtype(layer.compute_dtype)
    x = tf.cast(100.3 + 2 * np.random.default_rng(0).normal(size=shape), half)
    expected = reference.batch_norm(x.numpy(), gamma, beta)

    with tf.GradientTape() as tape:
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * loss_weights(shape))
    by_gamma, _ = tape.gradient(loss, [layer.gamma.value, layer.beta.value])
    inference = layer(x, training=False)

    assert {v.dtype for v in layer.variables} == {"float32"}
    assert outputs.dtype == inference.dtype == half
    assert by_gamma.dtype == tf.float32
    np.testing.assert_allclose(layer.moving_mean, expected.mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, expected.variance, rtol=1e-4)
    # Only the outputs are rounded, to the unit roundoff of the type.
    roundoff = 2.0**-8 if policy == "mixed_bfloat16" else 2.0**-11
    assert error(tf.cast(outputs, tf.float32), expected.outputs) < 1.1 * roundoff
    assert error(tf.cast(inference, tf.float32), expected.outputs) < 1.1 * roundoff


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_images_of_other_types_are_cast(dtype):
    x = np.random.default_rng(0).integers(0, 255, (2, 3, 3, 4)).astype(dtype)
    outputs = BatchNorm()(x, training=True)
    assert outputs.dtype == tf.float32
    assert error(outputs, reference.batch_norm(x).outputs) < FLOAT32


def step_of(layer):
    """A training step on a replica, for `on_two_replicas`; the loss is a sum over the batch."""

    def step(x, weights):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs * weights)
        by_x, by_gamma, by_beta = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        moving = [tf.identity(layer.moving_mean.value), tf.identity(layer.moving_variance.value)]
        return {"outputs": outputs, "x": by_x, "gamma": by_gamma, "beta": by_beta, "moving": moving}

    return step


def two_different_halves(shape, seed=0):
    """The second half has another mean and deviation than the first."""
    x = random_batch(shape, seed=seed)
    x[len(x) // 2 :] = x[len(x) // 2 :] * 3 + 5
    return x


@dense_and_image
def test_synchronized_replicas_equal_one_device_on_the_joined_batch(
    shape, two_replicas, on_two_replicas
):
    gamma, beta = scale_and_shift(5)
    weights = loss_weights(shape)
    batches = [two_different_halves(shape, seed) for seed in range(2)]
    with two_replicas.scope():
        layer = built(BatchNorm(synchronized=True), shape, gamma, beta)
    for batch in batches:
        first, second = on_two_replicas(step_of(layer), batch, weights)

    expected = observe(built(BatchNorm(), shape, gamma, beta), batches, weights)
    assert_all_close(
        {
            "outputs": np.concatenate([first["outputs"], second["outputs"]]),
            "gradient of x": np.concatenate([first["x"], second["x"]]),
            "gradient of gamma": first["gamma"] + second["gamma"],
            "gradient of beta": first["beta"] + second["beta"],
            "moving mean": first["moving"][0],
            "moving variance": first["moving"][1],
            "inference": layer(batches[0], training=False),
        },
        expected,
        FLOAT32,
    )
    np.testing.assert_array_equal(first["moving"], second["moving"])


@dense_and_image
def test_unsynchronized_replicas_normalize_alone_and_average_their_statistics(
    shape, two_replicas, on_two_replicas
):
    gamma, beta = scale_and_shift(5)
    weights = loss_weights(shape)
    batches = [two_different_halves(shape, seed) for seed in range(2)]
    with two_replicas.scope():
        layer = built(BatchNorm(momentum=0.6), shape, gamma, beta)
    for batch in batches:
        results = on_two_replicas(step_of(layer), batch, weights)

    for half, share, result in zip(
        np.split(batches[-1], 2), np.split(weights, 2), results, strict=True
    ):
        by_x, by_gamma, by_beta = reference.batch_norm_gradient(share, half, gamma)
        outputs = reference.batch_norm(half, gamma, beta).outputs
        assert error(result["outputs"], outputs) < FLOAT32
        assert error(result["x"], by_x) < FLOAT32
        assert error(result["gamma"], by_gamma) < FLOAT32
        assert error(result["beta"], by_beta) < FLOAT32
    halves = [[reference.batch_norm(half) for half in np.split(b, 2)] for b in batches]
    for index, (field, start) in enumerate([("mean", 0.0), ("variance", 1.0)]):
        means = [np.mean([getattr(r, field) for r in pair], axis=0) for pair in halves]
        expected = reference.moving_average(np.full(5, start), means, 0.6)
        assert error(results[0]["moving"][index], expected) < FLOAT32
    np.testing.assert_array_equal(results[0]["moving"], results[1]["moving"])


@pytest.mark.parametrize("shape", [(None, 5), (None, None, None, 5)], ids=["dense", "image"])
def test_one_trace_serves_all_batch_and_image_sizes(shape):
    layer = built(BatchNorm(momentum=0.0), shape)
    traces = []

    @tf.function(input_signature=[tf.TensorSpec(shape)], autograph=False)
    def call(x):
        traces.append(x.shape)
        return layer(x, training=True)

    for size in (2, 3, 6):
        x = random_batch((size, *[size] * (len(shape) - 2), 5))
        expected = reference.batch_norm(x)
        assert error(call(x), expected.outputs) < FLOAT32
        assert error(layer.moving_variance, expected.variance) < FLOAT32
    assert len(traces) == 1


def test_a_saved_model_gives_the_same_predictions(tmp_path):
    inputs = keras.Input((4, 4, 2))
    x = BatchNorm(momentum=0.3)(keras.layers.Conv2D(3, 3)(inputs))
    outputs = BatchNorm(center=False, axis=1)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    batch = random_batch((8, 4, 4, 2))
    untrained = model(batch, training=False)
    model(batch, training=True)
    expected = model(batch, training=False).numpy()
    assert error(untrained, expected) > 0.01

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")

    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
    np.testing.assert_array_equal(loaded(batch, training=False), expected)


@pytest.mark.parametrize("options", [{}, {"axis": 1, "center": False, "momentum": 0.5}])
def test_a_configuration_of_keras_gives_the_same_layer(options):
    theirs = keras.layers.BatchNormalization(name="some_norm", **options)
    x = random_batch((8, 4, 5))
    theirs(x, training=True)
    ours = BatchNorm.from_config(theirs.get_config())
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    assert ours.name == "some_norm"
    for training in (True, False):
        outputs = [layer(x, training=training) for layer in (ours, theirs)]
        assert error(*outputs) < FLOAT32
    for one, other in zip(ours.variables, theirs.variables, strict=True):
        assert one.name == other.name
        np.testing.assert_allclose(one, other, rtol=FLOAT32)
    shared = theirs.get_config().keys() - {"renorm", "renorm_clipping", "renorm_momentum"}
    assert shared == ours.get_config().keys()


def test_batch_renormalisation_is_refused():
    config = keras.layers.BatchNormalization().get_config() | {"renorm": True}
    with pytest.raises(ValueError, match=r"renormalisation is not available.*renorm=True"):
        BatchNorm.from_config(config)
