"""What all normalisations share, shown on a variant made here of the two hooks alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import error

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
