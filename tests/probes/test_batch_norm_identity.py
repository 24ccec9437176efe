"""The paper's theorems on live layers: against NumPy float64, and on layers that are wrong."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit import models
from bnkit.layers import BatchNorm, CovariateNoise, LpNorm, NoisyBatchNorm
from bnkit.probes.batch_norm_identity import batch_norm_identity
from bnkit.probes.objective import Objective

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BOTH = pytest.mark.parametrize("norm", [BatchNorm, keras.layers.BatchNormalization])


def images(samples=16, shape=(4, 4, 2)):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, *shape)).astype("float32"), rng.integers(0, 10, samples)


def convolutional(norm, **options):
    """A convolution and a dense layer with batch norm, of random scale and shift."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            keras.layers.Conv2D(3, 3),
            norm(name="first", **options),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(6),
            norm(name="second", **options),
            keras.layers.ReLU(),
            keras.layers.Dense(10),
        ]
    )
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if variable.name in ("gamma", "beta"):
            variable.assign(rng.uniform(0.5, 2, variable.shape))
    return model


def tensors(identity):
    return identity[1:]


@BOTH
def test_with_epsilon_zero_both_sides_are_equal(norm):
    identity = batch_norm_identity(convolutional(norm, epsilon=0.0), CROSS_ENTROPY, images())
    assert identity.layers == ("first", "second")
    assert {t.dtype for t in tensors(identity)} == {tf.float64}
    assert np.min(identity.left) > 1e-3
    assert error(identity.left, identity.right) < 1e-5
    assert np.max(identity.relative_difference) < 1e-5


@BOTH
@pytest.mark.parametrize("masks_loss", [True, False])
def test_masked_values_have_gradients_but_no_part_in_the_statistics(norm, masks_loss):
    """Both sides are equal, and the left one is that of a plain tape."""
    rng = np.random.default_rng(0)
    x = rng.normal(2, 1, size=(6, 7, 3)).astype("float32")
    for sample, length in enumerate(rng.integers(2, 7, 6)):
        x[sample, length:] = 0
    w = rng.normal(size=x.shape).astype("float32")
    if masks_loss:
        w[(x == 0).all(-1)] = 0
    layer = norm(epsilon=0.0, name="norm")
    inputs = keras.Input((7, 3))
    model = keras.Model(inputs, layer(keras.layers.Masking()(inputs)))
    layer.gamma.assign([0.5, 1.0, 2.0])
    identity = batch_norm_identity(model, lambda w, z: tf.reduce_sum(w * z**2), (x, w))
    with tf.GradientTape() as tape:
        y = tf.constant(x)
        tape.watch(y)
        z = layer(y, mask=(x != 0).any(-1), training=True)
        loss = tf.reduce_sum(w * z**2)
    expected = float(tf.reduce_sum(tf.square(tape.gradient(loss, y))))
    np.testing.assert_allclose(identity.left, [expected], rtol=1e-5)
    np.testing.assert_allclose(identity.right, identity.left, rtol=1e-4)


class Tapped(keras.layers.Layer):
    """A batch norm, with zeros added to its inputs and outputs whose gradients a tape can take."""

    def __init__(self, samples, **kwargs):
        super().__init__(**kwargs)
        self.norm = BatchNorm(name=self.name)
        self._samples = samples

    def build(self, shape):
        self.norm.build(shape)
        shape = (self._samples, *shape[1:])
        zeros = {"initializer": "zeros", "trainable": False}
        self.at_y = self.add_weight(name="at_y", shape=shape, **zeros)
        self.at_z = self.add_weight(name="at_z", shape=shape, **zeros)

    def call(self, x, training=False):
        self.y = x + self.at_y
        return self.norm(self.y, training=training) + self.at_z

    def compute_output_shape(self, shape):
        return shape


TAPPED = {
    "residual": lambda norm: models.resnet(norm, width=1 / 8, input_shape=(4, 4, 2), seed=0),
    "pre-activation": lambda norm: models.resnet(
        norm, width=1 / 8, input_shape=(4, 4, 2), norm_place="pre", seed=0
    ),
    "tokens": lambda norm: models.vision_transformer(
        norm, 2, width=1 / 8, input_shape=(8, 4, 2), seed=0
    ),
    "tokens, post": lambda norm: models.vision_transformer(
        norm, 2, width=1 / 8, input_shape=(8, 4, 2), norm_place="post", seed=0
    ),
}


@pytest.mark.parametrize("make", TAPPED.values(), ids=TAPPED.keys())
def test_on_graphs_that_branch_both_sides_are_those_of_a_plain_tape(make):
    """Sums, attention and a token axis: units are the last axis, all others count as samples."""
    model = make(lambda name: Tapped(8, name=name))
    x, y = images(8, model.input_shape[1:])
    taps = [layer for layer in model.layers if isinstance(layer, Tapped)]
    rng = np.random.default_rng(0)
    for tap in taps:
        tap.norm.gamma.assign(rng.uniform(0.5, 2, tap.norm.gamma.shape))
    sources = [(tap.at_y.value, tap.at_z.value) for tap in taps]
    with tf.GradientTape() as tape:
        tape.watch(tf.nest.flatten(sources))
        loss = CROSS_ENTROPY(y, model(x, training=True))
    gradients = tape.gradient(loss, sources)
    left, right, ratio = [], [], []
    for tap, (by_y, g) in zip(taps, gradients, strict=True):
        units = tap.y.shape[-1]
        rows, by_y, g = (np.asarray(t, np.float64).reshape(-1, units) for t in (tap.y, by_y, g))
        variance = rows.var(axis=0) + tap.norm.epsilon
        y_hat = (rows - rows.mean(axis=0)) / np.sqrt(variance)
        bracket = (g**2).sum(0) - (g.sum(0) ** 2 + (g * y_hat).sum(0) ** 2) / len(rows)
        left.append((by_y**2).sum())
        right.append((tap.norm.gamma.numpy() ** 2 / variance * bracket).sum())
        ratio.append(np.sqrt((by_y**2).sum() / (g**2).sum()))

    identity = batch_norm_identity(model, CROSS_ENTROPY, (x, y))

    assert identity.layers == tuple(tap.name for tap in taps)
    assert len(taps) >= 5 and min(left) > 0
    np.testing.assert_allclose(identity.left, left, rtol=1e-4)
    np.testing.assert_allclose(identity.right, right, rtol=1e-4)
    np.testing.assert_allclose(identity.gradient_ratio, ratio, rtol=1e-4)


CASES = {"dense": ((16, 5), -1), "image": ((4, 3, 3, 5), -1), "axis 1": ((4, 5, 3, 3), 1)}


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
@pytest.mark.parametrize("shape, axis", CASES.values(), ids=CASES.keys())
def test_one_layer_by_hand(shape, axis, epsilon):
    """`L = sum(w z)`: g is w, and the gradient for y that of the reference."""
    rng = np.random.default_rng(0)
    y, w = (rng.normal(size=shape).astype("float32") for _ in range(2))
    gamma = rng.uniform(0.5, 2, 5)
    layer = BatchNorm(axis=axis, epsilon=epsilon, name="norm")
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    layer.gamma.assign(gamma)

    identity = batch_norm_identity(model, lambda w, z: tf.reduce_sum(w * z), (y, w))

    gamma = layer.gamma.numpy().astype("float64")
    broadcast = gamma.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
    by_y, _, _ = reference.batch_norm_gradient(w, y, broadcast.squeeze(), epsilon, axis)
    normalized = reference.batch_norm(y, epsilon=epsilon, axis=axis)
    g = np.moveaxis(w, axis, -1).reshape(-1, 5).astype("float64")
    y_hat = np.moveaxis(normalized.normalized, axis, -1).reshape(-1, 5)
    right = 0
    for j in range(5):
        bracket = g[:, j] @ g[:, j] - (g[:, j].sum() ** 2 + (g[:, j] @ y_hat[:, j]) ** 2) / len(g)
        right += gamma[j] ** 2 / (normalized.variance[j] + epsilon) * bracket
    left = np.sum(by_y**2)
    assert identity.layers == ("norm",)
    assert error(identity.left, [left]) < 1e-5
    assert error(identity.right, [right]) < 1e-5
    assert error(identity.gradient_ratio, [np.sqrt(left / np.sum(g**2))]) < 1e-5
    if epsilon:
        assert left < 0.999 * right
        assert error(identity.relative_difference, [(right - left) / right]) < 1e-3
    else:
        assert abs(left - right) < 1e-12 * right


class ConstantVariance(BatchNorm):
    """As if the variance did not depend on the batch, a common mistake."""

    def measure_spread(self, x, mean, batch):
        return tf.stop_gradient(super().measure_spread(x, mean, batch))

    def normalize_batch(self, inputs, batch):
        mean = batch.mean(inputs)
        spread = self.measure_spread(inputs, self.broadcast(mean), batch)
        return self.normalize(inputs, mean, spread), mean, spread


def test_a_wrong_gradient_is_noticed():
    identity = batch_norm_identity(
        convolutional(ConstantVariance, epsilon=0.0), CROSS_ENTROPY, images()
    )
    assert np.min(identity.relative_difference) > 1e-3
    assert np.all(identity.left > identity.right)


def test_what_goes_around_the_layer_does_not_count():
    """Its input also goes through a skip connection, and the noise after it is not part of it."""
    inputs = keras.Input((5,))
    x = keras.layers.Dense(4)(inputs)
    x = keras.layers.Add()([x, NoisyBatchNorm(epsilon=0.0, seed=1, name="noisy")(x)])
    x = BatchNorm(epsilon=0.0, scale=False, center=False, name="plain")(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(CovariateNoise(seed=2)(x)))
    identity = batch_norm_identity(model, CROSS_ENTROPY, images(shape=(5,)))
    assert identity.layers == ("noisy", "plain")
    assert np.min(identity.left) > 1e-4
    assert np.max(identity.relative_difference) < 1e-5


def test_a_layer_at_the_input_and_one_that_is_shared():
    norm = BatchNorm(epsilon=0.0, name="norm")
    inputs = keras.Input((10,))
    first = BatchNorm(epsilon=0.0, name="first")(inputs)
    dense = keras.layers.Dense(10)
    model = keras.Model(inputs, norm(dense(norm(dense(first)))))
    identity = batch_norm_identity(model, CROSS_ENTROPY, images(shape=(10,)))
    assert identity.layers == ("first", "norm")
    assert np.max(identity.relative_difference) < 1e-5


def test_in_a_graph_and_at_given_weights():
    model, other = (convolutional(BatchNorm) for _ in range(2))
    expected = batch_norm_identity(model, CROSS_ENTROPY, images())
    weights = [v.numpy() for v in model.trainable_variables]
    state = [v.numpy() for v in model.non_trainable_variables]
    other.get_layer("first").gamma.assign([9.0, 9.0, 9.0])

    @tf.function(autograph=False)
    def measure(x, y):
        return tensors(
            batch_norm_identity(other, CROSS_ENTROPY, (x, y), weights=weights, state=state)
        )

    left, right, _, ratio = measure(*map(tf.constant, images()))
    assert error(left, expected.left) < 1e-5
    assert error(right, expected.right) < 1e-5
    assert error(ratio, expected.gradient_ratio) < 1e-5


@BOTH
def test_a_frozen_layer_uses_its_moving_averages(norm):
    model = convolutional(norm, epsilon=0.0)
    model.get_layer("first").trainable = False
    identity = batch_norm_identity(model, CROSS_ENTROPY, images())
    assert identity.layers == ("second",)
    assert np.max(identity.relative_difference) < 1e-5


@BOTH
def test_a_frozen_scale_is_state(norm):
    model = convolutional(norm, epsilon=0.0)
    model.get_layer("first").gamma.trainable = False
    identity = batch_norm_identity(model, CROSS_ENTROPY, images())
    assert identity.layers == ("first", "second")
    assert np.max(identity.relative_difference) < 1e-5


@BOTH
def test_a_layer_called_in_inference_mode_is_left_out(norm):

    class Partly(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.inference = keras.layers.Dense(10), norm(name="inference")
            self.training = norm(name="training")

        def call(self, inputs, training=False):
            x = self.inference(self.dense(inputs), training=False)
            return self.training(x, training=training)

    model = Partly()
    model(np.ones((2, 5), "float32"))
    identity = batch_norm_identity(model, CROSS_ENTROPY, images(shape=(5,)))
    assert identity.layers == ("training",)


def test_where_nothing_depends_on_the_layer_there_is_no_ratio():
    model = convolutional(BatchNorm)
    model.layers[-1].kernel.assign(tf.zeros([6, 10]))
    identity = batch_norm_identity(model, CROSS_ENTROPY, images())
    np.testing.assert_array_equal(identity.left, [0.0, 0.0])
    assert np.isnan(identity.relative_difference).all()
    assert np.isnan(identity.gradient_ratio).all()


def test_on_replicas_with_statistics_of_the_global_batch(two_replicas, on_two_replicas):
    x, y = images()
    x[8:] = 2 * x[8:] + 1
    single = convolutional(BatchNorm)
    expected = batch_norm_identity(single, CROSS_ENTROPY, (x, y))
    with two_replicas.scope():
        model = convolutional(BatchNorm, synchronized=True)
    model.set_weights(single.get_weights())
    results = on_two_replicas(
        lambda x, y: tensors(batch_norm_identity(model, CROSS_ENTROPY, (x, y))), x, y
    )
    for left, right, difference, ratio in results:
        assert error(left, expected.left) < 1e-4
        assert error(right, expected.right) < 1e-4
        assert np.max(difference) < 1e-3
        assert error(ratio, expected.gradient_ratio) < 1e-4
    np.testing.assert_array_equal(results[0], results[1])


def test_on_replicas_with_statistics_of_their_own(two_replicas, on_two_replicas):
    """The gradients of the mean of both losses are half of those of either alone."""
    x, y = images()
    x[8:] = 2 * x[8:] + 1
    single = convolutional(BatchNorm, epsilon=0.0)
    halves = [
        batch_norm_identity(single, CROSS_ENTROPY, (x[half], y[half]))
        for half in (slice(8), slice(8, None))
    ]
    expected = sum(np.asarray(half.left) for half in halves) / 4
    with two_replicas.scope():
        model = convolutional(BatchNorm, epsilon=0.0)
    model.set_weights(single.get_weights())
    results = on_two_replicas(
        lambda x, y: tensors(batch_norm_identity(model, CROSS_ENTROPY, (x, y))), x, y
    )
    for left, right, difference, _ in results:
        assert error(left, expected) < 1e-4
        assert error(right, expected) < 1e-4
        assert np.max(difference) < 1e-4


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_variable_stays_bit_identical(in_graph, variables_of_a_trained_model):
    model, batch, snapshot = variables_of_a_trained_model
    before = snapshot()

    def measure(x, y):
        return tensors(batch_norm_identity(model, CROSS_ENTROPY, (x, y)))

    (tf.function(measure, autograph=False) if in_graph else measure)(*map(tf.constant, batch))
    assert snapshot() == before


def test_mixed_precision_is_close_to_equal():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = convolutional(BatchNorm, epsilon=0.0)
    identity = batch_norm_identity(model, CROSS_ENTROPY, images())
    assert np.max(identity.relative_difference) < 0.05


@pytest.mark.parametrize("norm", [keras.layers.LayerNormalization, lambda **_: LpNorm(2)])
def test_a_model_without_batch_norm_is_an_error(norm):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(10), norm()], name="bare")
    with pytest.raises(ValueError, match=r"no batch norm.*Received: model 'bare'"):
        batch_norm_identity(model, CROSS_ENTROPY, images(shape=(3,)))


def test_theorem_4_2_the_curvature_along_the_gradient():
    """Its bound on the quadratic form of the Hessian; along this gradient, an equality.

    The gradient v for y is orthogonal to 1 and to y_hat, so that along it the mean stays and
    `sigma^2` grows by `t^2 ||v||^2 / m`. `L(z) = sum(a sin(z)) + z'Bz / 2` has a known Hessian.
    """
    rng = np.random.default_rng(0)
    m, gamma = 12, 1.7
    a, y = rng.normal(size=m), rng.normal(1, 2, size=m)
    b = rng.normal(size=(m, m))
    b = b + b.T
    layer = BatchNorm(epsilon=0.0, dtype="float64")
    layer.build((None, 1))
    layer.gamma.assign([gamma])
    point = tf.constant(y[:, None])
    with tf.GradientTape() as outer:
        outer.watch(point)
        with tf.GradientTape() as inner:
            inner.watch(point)
            z = layer(point, training=True)
            loss = tf.reduce_sum(a * tf.sin(z[:, 0])) + tf.tensordot(z[:, 0], b @ z, 1)[0] / 2
        gradient = inner.gradient(loss, point)
        slope = tf.reduce_sum(gradient * tf.stop_gradient(gradient))
    v = gradient.numpy()[:, 0]
    curvature = v @ outer.gradient(slope, point).numpy()[:, 0]

    result = reference.batch_norm(y[:, None], gamma, epsilon=0.0)
    z, y_hat, variance = result.outputs[:, 0], result.normalized[:, 0], result.variance[0]
    g = a * np.cos(z) + b @ z
    hessian = b - np.diag(a * np.sin(z))
    bound = gamma**2 / variance * (v @ hessian @ v) - gamma / (m * variance) * (g @ y_hat) * (v @ v)
    assert error(curvature, bound) < 1e-9
    # Both terms matter here.
    assert abs(gamma / (m * variance) * (g @ y_hat) * (v @ v)) > 0.01 * abs(bound)


@BOTH
def test_lemma_4_5_weights_before_batch_norm_are_orthogonal_to_their_gradient(norm):
    """Their scale does not matter, so the loss does not change along them; unit by unit."""
    model = convolutional(norm, epsilon=0.0)
    objective = Objective(model, CROSS_ENTROPY, images())
    _, gradient = objective.loss_and_gradient(objective.weights)
    cosines = []
    for w, g in zip(objective.weights, gradient, strict=True):
        if len(w.shape) >= 2:
            w, g = (t.numpy().astype("float64").reshape(-1, t.shape[-1]) for t in (w, g))
            norms = np.linalg.norm(w, axis=0) * np.linalg.norm(g, axis=0)
            assert norms.max() > 1e-3
            cosines.append(np.abs((w * g).sum(0)).max() / norms.max())
    assert len(cosines) == 3
    assert max(cosines[:2]) < 1e-5
    assert cosines[2] > 0.01
