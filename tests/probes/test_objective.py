"""The loss at any weights: equal to the model's own, and without a trace on the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import error

from bnkit.layers import BatchNorm
from bnkit.probes.objective import Objective, read, replica_loss

MEAN_SQUARE = keras.losses.MeanSquaredError()


def network(*middle, units=4):
    """Dense, whatever is asked for, dense."""
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(units), *middle, keras.layers.Dense(2)]
    )


def batch(samples=8, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(samples, 3)).astype("float32"),
        rng.normal(size=(samples, 2)).astype("float32"),
    )


def moved(model, by=0.1):
    return [v.value + by for v in model.trainable_variables]


def test_loss_and_gradient_are_those_of_the_model_in_training_mode():
    model, (x, y) = network(BatchNorm()), batch()
    objective = Objective(model, MEAN_SQUARE, (x, y))
    loss, gradient = objective.loss_and_gradient(objective.weights)
    with tf.GradientTape() as tape:
        expected = MEAN_SQUARE(y, model(x, training=True))
    expected_gradient = tape.gradient(expected, [v.value for v in model.trainable_variables])
    assert error(loss, expected) < 1e-6
    assert error(objective.loss_and_gradient(objective.weights)[0], expected) < 1e-6
    for got, want in zip(gradient, expected_gradient, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize(
    "convert",
    [
        tf.convert_to_tensor,
        tf.Variable,
        keras.Variable,
        np.asarray,
        lambda value: np.asarray(value, "float64"),
        lambda value: np.asarray(value).tolist(),
    ],
    ids=["tensor", "tf.Variable", "keras.Variable", "array", "float64 array", "list"],
)
def test_weights_may_be_variables_tensors_or_arrays(convert):
    model, other = network(), network()
    expected = Objective(other, MEAN_SQUARE, batch())
    weights = [convert(v.numpy()) for v in other.trainable_variables]
    objective = Objective(model, MEAN_SQUARE, batch(), weights)
    assert {w.dtype for w in objective.weights} == {tf.float32}
    np.testing.assert_array_equal(
        objective.loss_and_gradient(objective.weights)[0],
        expected.loss_and_gradient(expected.weights)[0],
    )


def test_weights_are_those_of_the_moment_it_is_made():
    model = network()
    objective = Objective(model, MEAN_SQUARE, batch())
    before = objective.loss_and_gradient(objective.weights)[0].numpy()
    for variable in model.trainable_variables:
        variable.assign_add(tf.ones_like(variable))
    np.testing.assert_array_equal(objective.loss_and_gradient(objective.weights)[0], before)


def test_gradients_of_some_positions_alone():
    model = network()
    objective = Objective(model, MEAN_SQUARE, batch())
    _, everything = objective.loss_and_gradient(objective.weights)
    _, some = objective.loss_and_gradient(objective.weights, of=(3, 0))
    for got, want in zip(some, (everything[3], everything[0]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_weights_that_the_loss_does_not_use_have_gradient_zero():
    inputs = keras.Input((3,))
    used, unused = keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)
    model = keras.Model(inputs, [used, unused])
    objective = Objective(model, lambda y, outputs: MEAN_SQUARE(y, outputs[0]), batch())
    _, gradient = objective.loss_and_gradient(objective.weights)
    assert [bool(np.any(g)) for g in gradient] == [True, True, False, False]
    assert [g.shape for g in gradient] == [w.shape for w in objective.weights]


def test_embeddings_have_dense_gradients():
    model = keras.Sequential(
        [keras.Input((2,), dtype="int32"), keras.layers.Embedding(5, 3), keras.layers.Flatten()]
    )
    x, y = np.array([[0, 1], [1, 3]]), np.zeros((2, 6), "float32")
    objective = Objective(model, MEAN_SQUARE, (x, y))
    _, (gradient,) = objective.loss_and_gradient(objective.weights)
    table = model.get_weights()[0]
    counts = np.array([1, 2, 0, 1, 0])[:, None]
    np.testing.assert_allclose(gradient, 2 / 12 * counts * table, rtol=1e-5)


def test_weight_decay_is_no_part_of_the_loss():
    plain, decayed = network(), network()
    decayed.layers[0].kernel_regularizer = keras.regularizers.L2(10.0)
    decayed.set_weights(plain.get_weights())
    one, other = (Objective(m, MEAN_SQUARE, batch()) for m in (plain, decayed))
    np.testing.assert_array_equal(
        one.loss_and_gradient(one.weights)[0], other.loss_and_gradient(other.weights)[0]
    )


def test_random_layers_draw_the_same_numbers_at_every_evaluation():
    """And others when the state says so."""
    model = network(keras.layers.Dropout(0.5, seed=1), units=32)
    objective = Objective(model, MEAN_SQUARE, batch())
    first = objective.loss_and_gradient(objective.weights)[0].numpy()
    loss, _ = tf.function(objective.loss_and_gradient, autograph=False)(objective.weights)
    np.testing.assert_array_equal(objective.loss_and_gradient(objective.weights)[0], first)
    np.testing.assert_allclose(loss, first, rtol=1e-6)
    state = [v.numpy() + 1 for v in model.non_trainable_variables]
    other = Objective(model, MEAN_SQUARE, batch(), state=state)
    assert abs(other.loss_and_gradient(other.weights)[0] - first) > 1e-3


def test_statistics_come_from_the_batch_and_not_from_the_state():
    model = network(BatchNorm())
    state = [v.value + 5 for v in model.non_trainable_variables]
    one, other = (Objective(model, MEAN_SQUARE, batch(), state=s) for s in (None, state))
    np.testing.assert_array_equal(
        one.loss_and_gradient(one.weights)[0], other.loss_and_gradient(other.weights)[0]
    )


@pytest.mark.parametrize("reduction, factor", [("sum", 1), ("sum_over_batch_size", 2), (None, 2)])
def test_what_replicas_add_makes_up_the_global_loss(reduction, factor):
    """Two replicas with equal shares: a sum is left as it is, a mean is halved."""
    y, prediction = tf.constant([1.0, 3.0]), tf.constant([2.0, 5.0])
    if reduction is None:

        def loss_fn(y_true, y_pred):
            return tf.reduce_mean((y_true - y_pred) ** 2)

    else:
        loss_fn = keras.losses.MeanSquaredError(reduction=reduction)
    whole = replica_loss(loss_fn, y, prediction, 1)
    assert replica_loss(loss_fn, y, prediction, 2) == whole / factor


class OneNumber(keras.losses.Loss):
    """A loss whose `call` gives one number; Keras leaves it alone under a strategy."""

    def call(self, y_true, y_pred):
        return tf.reduce_mean((y_true - y_pred) ** 2)


def one_number(y_true, y_pred):
    return tf.reduce_mean((tf.cast(y_true, y_pred.dtype) - y_pred) ** 2)


@pytest.mark.parametrize(
    "loss_fn, shape",
    [
        (keras.losses.MeanSquaredError(), (8, 2)),
        (keras.losses.MeanSquaredError(), (8,)),
        (keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"), (8, 2)),
        (keras.losses.MeanSquaredError(reduction="sum"), (8, 2)),
        (OneNumber(), (8, 2)),
        (one_number, (8, 2)),
    ],
    ids=["mean", "mean of vector", "weighted mean", "sum", "one number", "function"],
)
def test_the_sum_over_replicas_is_the_global_loss(loss_fn, shape, two_replicas, on_two_replicas):
    """Keras divides some of its losses by the number of replicas, and others not."""
    y, prediction = np.arange(np.prod(shape)).reshape(shape), np.ones(shape, "float32")
    expected = loss_fn(y, prediction)
    shares = on_two_replicas(lambda y, p: replica_loss(loss_fn, y, p, 2), y, prediction)
    assert error(sum(shares), expected) < 1e-6
    with two_replicas.scope():
        assert error(replica_loss(loss_fn, y, prediction, 1), expected) < 1e-6


def test_read_takes_variables_as_they_are():
    variable = keras.Variable([1.0, 2.0])
    (value,) = read([variable])
    variable.assign([3.0, 4.0])
    np.testing.assert_array_equal(value, [1.0, 2.0])


def unbuilt():
    return keras.Sequential([keras.layers.Dense(2)], name="a_model")


def untrainable():
    model = network()
    model.trainable = False
    return model


@pytest.mark.parametrize(
    "model, options, message",
    [
        (unbuilt, {}, "no weights yet.*unbuilt model 'a_model'"),
        (untrainable, {}, "no trainable weights.*Received: model 'sequential"),
        (network, {"weights": [np.ones((3, 4))]}, r"`weights`.*\[\(3, 4\)\], expected: \[\(3, 4\)"),
        (network, {"state": [1.0]}, r"`state`.*Received: \[\(\)\], expected: \[\]"),
    ],
)
def test_models_and_weights_that_do_not_fit(model, options, message):
    with pytest.raises(ValueError, match=message):
        Objective(model(), MEAN_SQUARE, batch(), **options)


@pytest.mark.parametrize(
    "loss_fn", [keras.losses.mean_squared_error, keras.losses.MeanSquaredError(reduction=None)]
)
def test_a_loss_per_sample_is_an_error(loss_fn):
    """Its gradient would silently be that of the sum."""
    objective = Objective(network(), loss_fn, batch())
    with pytest.raises(ValueError, match=r"one number for the batch.*shape \(8,\)"):
        objective.loss_and_gradient(objective.weights)
