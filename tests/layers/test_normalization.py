"""What all normalisations share, shown on a variant made here of the two hooks alone."""

import functools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error
from twins import TWINS, random_batch

from bnkit.layers import BatchNorm, LpNorm, kernels
from bnkit.layers.normalization import Normalization


@keras.saving.register_keras_serializable(package="bnkit_tests")
class MeanAbsolute(Normalization):
    """Divides by twice the mean absolute deviation: no other layer does."""

    spread_name = "deviation"

    def measure_spread(self, x, mean, batch):
        return batch.mean(tf.abs(x - mean))

    def size(self, spread):
        return 2 * spread + self.epsilon


def batch(seed=0, shape=(8, 3)):
    return np.random.default_rng(seed).normal(1, 2, shape).astype("float32")


def test_the_hooks_decide_size_and_moving_spread():
    x = batch()
    layer = MeanAbsolute(momentum=0.25, epsilon=0.5)
    outputs = layer(x, training=True)
    deviation = np.abs(x - x.mean(0)).mean(0)
    assert error(outputs, (x - x.mean(0)) / (2 * deviation + 0.5)) < 1e-5
    assert [v.name for v in layer.non_trainable_variables] == ["moving_mean", "moving_deviation"]
    assert error(layer.moving_deviation, 0.25 + 0.75 * deviation) < 1e-5
    mean, spread = 0.75 * x.mean(0), 0.25 + 0.75 * deviation
    assert error(layer(x), (x - mean) / (2 * spread + 0.5)) < 1e-5


@pytest.mark.parametrize("hook", ["measure_spread", "size"])
def test_the_hooks_are_a_variants_to_write(hook):
    arguments = {"measure_spread": (None, None, None), "size": (None,)}
    with pytest.raises(NotImplementedError):
        getattr(Normalization(), hook)(*arguments[hook])


@pytest.mark.parametrize("training", [None, False])
def test_inference_uses_and_leaves_the_moving_averages(training):
    x = batch()
    layer = MeanAbsolute()
    layer(x, training=True)
    before = layer.get_weights()
    by_default, asked = layer(x), layer(x, training=training)
    np.testing.assert_array_equal(asked, by_default)
    assert error(asked, layer(x, training=True)) > 0.1
    after = layer.get_weights()
    layer.set_weights(before)
    np.testing.assert_array_equal(layer(x, training=training), by_default)
    assert not np.array_equal(after[2], before[2])


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 4, 3)])
def test_symbolic_and_eager_calls_agree(shape):
    inputs = keras.Input(shape)
    layer = MeanAbsolute()
    outputs = layer(inputs)
    assert outputs.shape == (None, *shape) == layer.compute_output_shape((None, *shape))
    assert outputs.dtype == "float32"
    x = batch(shape=(5, *shape))
    model = keras.Model(inputs, outputs)
    state = layer.get_weights()
    symbolic = model(x, training=True).numpy()
    layer.set_weights(state)
    np.testing.assert_array_equal(symbolic, layer(x, training=True))


def test_the_training_flag_of_a_model_reaches_the_layer():
    model = keras.Sequential([keras.Input((3,)), MeanAbsolute(momentum=0.0)])
    model(batch(), training=True)
    assert error(model.layers[0].moving_mean, batch().mean(0)) < 1e-6


@pytest.mark.parametrize("momentum, weight_of_first", [(0.0, 0.0), (1.0, 0.0), (0.5, 0.25)])
def test_momentum_weighs_old_against_new(momentum, weight_of_first):
    layer = MeanAbsolute(momentum=momentum)
    first, second = batch(0), batch(1)
    layer(first, training=True)
    layer(second, training=True)
    expected = weight_of_first * first.mean(0) + (1 - momentum) * second.mean(0)
    np.testing.assert_allclose(layer.moving_mean, expected, atol=1e-6)


def test_moving_averages_take_no_part_in_gradients():
    x = tf.constant(batch())
    layer = MeanAbsolute(momentum=0.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        layer(x, training=True)
        value = tf.reduce_sum(layer.moving_mean.value)
    assert tape.gradient(value, x) is None
    assert layer.trainable_variables == [layer.gamma, layer.beta]


def test_config_round_trip():
    options = {
        "axis": 1,
        "momentum": 0.5,
        "epsilon": 0.25,
        "center": False,
        "scale": False,
        "synchronized": True,
        "name": "some_norm",
    }
    layer = MeanAbsolute(**options)
    config = layer.get_config()
    assert {name: config[name] for name in options} == options
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is MeanAbsolute
    assert again.get_config() == config


def test_weights_are_float32_in_half_precision():
    layer = MeanAbsolute(dtype="mixed_float16")
    outputs = layer(batch().astype("float16"), training=True)
    assert outputs.dtype == tf.float16
    assert {v.dtype for v in layer.variables} == {"float32"}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"axis": [1, 2]}, r"`axis` must be one integer\. Received: axis=\[1, 2\]"),
        ({"axis": 1.0}, r"`axis` must be one integer\. Received: axis=1\.0"),
        ({"axis": True}, r"`axis` must be one integer\. Received: axis=True"),
        ({"momentum": 1.5}, r"`momentum` must be in \[0, 1\]\. Received: momentum=1\.5"),
        ({"momentum": -0.1}, r"`momentum` must be in \[0, 1\]\. Received: momentum=-0\.1"),
        ({"momentum": float("nan")}, r"Received: momentum=nan"),
        ({"epsilon": -1e-5}, r"`epsilon` must be >= 0\. Received: epsilon=-1e-05"),
        ({"epsilon": float("nan")}, r"Received: epsilon=nan"),
    ],
)
def test_arguments_that_are_not_valid(options, message):
    with pytest.raises(ValueError, match=message):
        MeanAbsolute(**options)


@pytest.mark.parametrize(
    "axis, shape, message",
    [
        (-1, (8,), r"batch axis .* input_shape=\(8,\), axis=-1"),
        (0, (8, 3), r"batch axis .* input_shape=\(8, 3\), axis=0"),
        (-2, (8, 3), r"batch axis .* input_shape=\(8, 3\), axis=-2"),
        (2, (8, 3), r"batch axis .* input_shape=\(8, 3\), axis=2"),
        (-3, (8, 3), r"batch axis .* input_shape=\(8, 3\), axis=-3"),
        (-1, (8, None), r"known length.* input_shape=\(8, None\), axis=-1"),
        (1, (8, None, 3), r"known length.* input_shape=\(8, None, 3\), axis=1"),
    ],
)
def test_inputs_that_cannot_be_normalized(axis, shape, message):
    with pytest.raises(ValueError, match=message):
        MeanAbsolute(axis=axis).build(shape)


OVER_BATCH = [name for name, row in TWINS.items() if row.takes_batch_statistics()]
each_layer = pytest.mark.parametrize("name", OVER_BATCH)
MOMENTUM, EPSILON = 0.7, 1e-2


def statistics(name, x, gamma=1.0, beta=0.0, **where):
    """Outputs, mean and spread in float64."""
    if TWINS[name].p is None:
        result = reference.batch_norm(x, gamma, beta, EPSILON, **where)
        return result.outputs, result.mean, result.variance
    result = reference.lp_norm(x, TWINS[name].p, gamma, beta, EPSILON, **where)
    return result.outputs, result.mean, result.size


def made(name, units, **options):
    """With a scale, a shift and moving averages that are none of the usual."""
    rng = np.random.default_rng(7)
    initial = [rng.uniform(0.5, 2, units), *rng.normal(size=(2, units)), rng.uniform(1, 2, units)]
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    values = dict(zip(names, map(keras.initializers.Constant, map(list, initial)), strict=True))
    values = {f"{key}_initializer": value for key, value in values.items()}
    row = TWINS[name]
    return row.make(momentum=MOMENTUM, epsilon=EPSILON, **row.renamed(values), **options), initial


def moving_of(layer):
    return [v.numpy() for v in layer.non_trainable_variables if v.name.startswith("moving")]


def padded(shape, mask_shape, seed=0):
    """Positions that do not count hold large values."""
    x = random_batch(shape, seed)
    mask = np.random.default_rng(seed + 1).uniform(size=mask_shape) < 0.6
    x[~np.broadcast_to(mask.reshape(mask_shape + (1,) * (x.ndim - mask.ndim)), shape)] = 50
    return x, mask


# Shape, axis of the units, shape of the mask.
MASKED = {
    "dense": ((8, 5), -1, (8,)),
    "sequence": ((6, 4, 5), -1, (6, 4)),
    "sequence, samples": ((6, 4, 5), 2, (6,)),
    "units are time steps": ((12, 4, 5), 1, (12, 4)),
    "channels first": ((6, 5, 4), -2, (6, 1, 4)),
    "image": ((4, 3, 2, 5), -1, (4, 3, 2)),
}


@pytest.mark.parametrize("shape, axis, mask_shape", MASKED.values(), ids=MASKED)
@each_layer
def test_only_unmasked_positions_enter_the_statistics(name, shape, axis, mask_shape):
    """Outputs, moving averages and all gradients; these in float64 by central differences."""
    x, mask = padded(shape, mask_shape)
    weights = np.random.default_rng(3).normal(size=shape)
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-7)):
        layer, (gamma, beta, *moving) = made(name, shape[axis], axis=axis, dtype=dtype)
        inputs = tf.constant(x, dtype)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True, mask=mask)
            loss = tf.reduce_sum(tf.sin(outputs) * tf.cast(weights, dtype))
        gradients = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
        expected = statistics(name, x, gamma, beta, axis=axis, mask=mask)
        assert error(outputs, expected[0]) < tolerance
        for value, before, batch in zip(moving_of(layer), moving, expected[1:], strict=True):
            assert error(value, MOMENTUM * before + (1 - MOMENTUM) * batch) < tolerance

    def loss_at(x=x, gamma=gamma, beta=beta):
        outputs, *_ = statistics(name, x, gamma, beta, axis=axis, mask=mask)
        return np.sum(np.sin(outputs) * weights)

    for value, wanted in zip(
        gradients,
        [
            reference.central_differences(loss_at, x),
            reference.central_differences(lambda value: loss_at(gamma=value), gamma),
            reference.central_differences(lambda value: loss_at(beta=value), beta),
        ],
        strict=True,
    ):
        assert error(value, wanted) < 1e-6


@pytest.mark.parametrize("shape, mask_shape", [((6, 4, 5), (6, 4)), ((4, 3, 2, 5), (4, 3, 2))])
def test_a_masked_batch_norm_is_that_of_keras(shape, mask_shape):
    x, mask = padded(shape, mask_shape)
    ours, _ = made("BatchNorm", 5)
    theirs = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)
    theirs.build(shape)
    ours.build(shape)
    theirs.set_weights(ours.get_weights())
    for training in (True, False):
        outputs = [layer(x, training=training, mask=mask) for layer in (ours, theirs)]
        assert error(*outputs) < 1e-5
    for one, other in zip(ours.variables, theirs.variables, strict=True):
        assert error(one, other) < 1e-5


@each_layer
def test_a_batch_that_is_all_padding_leaves_the_averages(name):
    """It is normalised with them; Keras's moving averages go towards 0 instead."""
    x = random_batch((6, 4, 5))
    layer, (*_, mean, spread) = made(name, 5)
    inference = layer(x)
    with tf.GradientTape() as tape:
        outputs = layer(x, training=True, mask=np.zeros((6, 4), bool))
    np.testing.assert_array_equal(outputs, inference)
    np.testing.assert_array_equal(moving_of(layer), np.float32([mean, spread]))
    gradients = tape.gradient(outputs, [layer.gamma.value, layer.beta.value])
    assert np.isfinite(gradients).all()
    zero = layer(np.zeros_like(x), training=True, mask=np.zeros((6, 4), bool))
    assert np.isfinite(zero).all()


@each_layer
def test_units_that_are_all_padding_leave_their_averages(name):
    """Units are time steps, and no sequence is as long as the last two."""
    x = random_batch((6, 4, 5))
    layer, (*_, mean, spread) = made(name, 4, axis=1)
    inference = layer(x)
    outputs = layer(x, training=True, mask=np.arange(4) < 2 + np.zeros((6, 1)))
    _, batch_mean, batch_spread = statistics(name, x, axis=1)
    np.testing.assert_array_equal(outputs[:, 2:], inference[:, 2:])
    for value, old, batch in zip(
        moving_of(layer), (mean, spread), (batch_mean, batch_spread), strict=True
    ):
        np.testing.assert_array_equal(value[2:], np.float32(old)[2:])
        assert error(value[:2], (MOMENTUM * old + (1 - MOMENTUM) * batch)[:2]) < 1e-5


@pytest.mark.parametrize("synchronized", [True, False])
@each_layer
def test_masks_under_replicas(name, synchronized, two_replicas, on_two_replicas):
    """The replicas have different numbers of positions that count."""
    x, mask = padded((8, 4, 5), (8, 4))
    mask[:3] = False
    mask[3] = mask[7] = True
    x[3:] += 3
    with two_replicas.scope():
        layer, (gamma, beta, *moving) = made(name, 5, synchronized=synchronized)
        layer.build(x.shape)

    def step(x, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True, mask=mask)
            loss = tf.reduce_sum(tf.sin(outputs))
        averages = [v.value for v in layer.non_trainable_variables[:2]]
        return outputs, tape.gradient(loss, x), [tf.identity(value) for value in averages]

    found = on_two_replicas(step, x, mask)
    shares = [(x, mask)]
    if not synchronized:
        shares = list(zip(np.split(x, 2), np.split(mask, 2), strict=True))

    def loss_at(x, mask):
        return np.sum(np.sin(statistics(name, x, gamma, beta, mask=mask)[0]))

    expected = [statistics(name, x, gamma, beta, mask=mask) for x, mask in shares]
    gradients = [
        reference.central_differences(lambda value, mask=mask: loss_at(value, mask), x)
        for x, mask in shares
    ]
    outputs, by_x = (np.concatenate([result[i] for result in found]) for i in range(2))
    assert error(outputs, np.concatenate([outputs for outputs, *_ in expected])) < 1e-5
    assert error(by_x, np.concatenate(gradients)) < 1e-5
    for position, before in enumerate(moving):
        batch = np.mean([result[1 + position] for result in expected], axis=0)
        values = [result[2][position] for result in found]
        np.testing.assert_array_equal(*values)
        assert error(values[0], MOMENTUM * before + (1 - MOMENTUM) * batch) < 1e-5


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
@each_layer
def test_the_units_on_any_axis(name, rank):
    shape = (4, 3, 2, 3, 2)[:rank]
    x = random_batch(shape)
    for axis in [*range(1, rank), *range(1 - rank, 0)]:
        layer, (gamma, beta, *moving) = made(name, shape[axis], axis=axis)
        assert layer(keras.Input(shape[1:])).shape == (None, *shape[1:])
        outputs, *batch = statistics(name, x, gamma, beta, axis=axis)
        assert error(layer(x, training=True), outputs) < 1e-5
        for value, before, after in zip(moving_of(layer), moving, batch, strict=True):
            assert error(value, MOMENTUM * before + (1 - MOMENTUM) * after) < 1e-5
        for wrong in (shape[:-1], (*shape, 2)):
            with pytest.raises(ValueError, match="ndim"):
                layer(np.zeros(wrong, "float32"))


@pytest.mark.parametrize("norm", [BatchNorm, functools.partial(LpNorm, 2)])
def test_where_operations_have_to_be_deterministic_no_kernel_without_such_a_gradient(
    norm, monkeypatch
):
    """TensorFlow refuses `FusedBatchNormGradV3` out of training mode there, on GPUs."""
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 2, 5)), tf.float32)
    found = []
    for has_gradient in (True, False):
        monkeypatch.setattr(kernels, "affine_has_gradient", lambda has=has_gradient: has)
        layer = norm()
        layer.build(x.shape)

        @tf.function(autograph=False)
        def gradients(layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x, training=False) + layer(x, training=True)
            return outputs, tape.gradient(outputs, x, output_gradients=tf.sin(x))

        graph = gradients.get_concrete_function().graph
        inference = [
            operation.type
            for operation in graph.get_operations()
            if operation.type.startswith("FusedBatchNorm") and not operation.get_attr("is_training")
        ]
        assert bool(inference) == has_gradient
        found.append(gradients())
    for kernel, single in zip(*found, strict=True):
        np.testing.assert_allclose(single, kernel, rtol=1e-4, atol=1e-5)
