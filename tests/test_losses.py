"""The sum loss: its value, its configuration, and the same number however the batch is shared."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnkit.losses import HalfSquaredError
from bnkit.probes.objective import replica_loss


def targets_and_outputs(samples=12, outputs=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(2, samples, outputs)).astype("float32")


def in_numpy(y_true, y_pred):
    return 0.5 * np.sum((y_true.astype("float64") - y_pred) ** 2)


def test_it_is_half_the_sum_over_samples_and_outputs():
    y_true, y_pred = targets_and_outputs()
    loss = HalfSquaredError()(y_true, y_pred)
    assert loss.shape == () and loss.dtype == tf.float32
    np.testing.assert_allclose(loss, in_numpy(y_true, y_pred), rtol=1e-6)
    by_hand = HalfSquaredError()(np.array([[1.0, 2.0]]), np.array([[4.0, 6.0]]))
    np.testing.assert_allclose(by_hand, (9 + 16) / 2)


def test_its_gradient_is_the_residual():
    y_true, y_pred = map(tf.constant, targets_and_outputs())
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        loss = HalfSquaredError()(y_true, y_pred)
    np.testing.assert_allclose(tape.gradient(loss, y_pred), y_pred - y_true, rtol=1e-6)


def test_it_says_that_it_is_a_sum():
    assert HalfSquaredError().reduction == "sum"
    assert HalfSquaredError().name == "half_squared_error"


def test_other_reductions_are_those_of_keras():
    y_true, y_pred = targets_and_outputs()
    each = HalfSquaredError(reduction="none")(y_true, y_pred)
    np.testing.assert_allclose(each, 0.5 * ((y_true - y_pred) ** 2).sum(-1), rtol=1e-6)
    mean = HalfSquaredError(reduction="sum_over_batch_size")(y_true, y_pred)
    np.testing.assert_allclose(mean, in_numpy(y_true, y_pred) / len(y_true), rtol=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size"])
def test_it_survives_being_saved(reduction):
    y_true, y_pred = targets_and_outputs()
    loss = HalfSquaredError(reduction=reduction, name="mine")
    again = HalfSquaredError.from_config(loss.get_config())
    described = keras.saving.serialize_keras_object(loss)
    assert described["registered_name"] == "bnkit>HalfSquaredError"
    for copy in (again, keras.saving.deserialize_keras_object(described)):
        assert type(copy) is HalfSquaredError
        assert (copy.reduction, copy.name) == (reduction, "mine")
        assert float(copy(y_true, y_pred)) == float(loss(y_true, y_pred))


def test_a_model_compiled_with_it_is_saved_with_it(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", HalfSquaredError())
    model.save(tmp_path / "model.keras")
    assert isinstance(keras.models.load_model(tmp_path / "model.keras").loss, HalfSquaredError)


def test_shares_of_replicas_add_up_to_the_loss_of_the_batch(on_two_replicas):
    """Different, unequal data on the two; neither is divided."""
    y_true, y_pred = targets_and_outputs()
    y_pred[6:] = 3 * y_pred[6:] + 1
    shares = on_two_replicas(
        lambda y, p: replica_loss(HalfSquaredError(), y, p, replicas=2), y_true, y_pred
    )
    for share, half in zip(shares, (slice(6), slice(6, 12)), strict=True):
        np.testing.assert_allclose(share, in_numpy(y_true[half], y_pred[half]), rtol=1e-6)
    np.testing.assert_allclose(sum(shares), in_numpy(y_true, y_pred), rtol=1e-6)
    assert shares[1] > 2 * shares[0]


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"Received: \(4,\) and \(4, 1\)"):
        HalfSquaredError()(np.zeros(4), np.zeros((4, 1)))
