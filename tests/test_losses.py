"""The sum loss: its value and configuration, and training with it on one replica or more."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear import Values, batch_of, dln_trainer, full_batches, loss_and_gradients, values_of
from reference import error

from bnkit import callbacks, models
from bnkit.data import Batches, load_gaussian
from bnkit.losses import HalfSquaredError, SmoothedCrossEntropy
from bnkit.probes.objective import replica_loss
from bnkit.schedules import At, Every


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
        lambda y, p: replica_loss(HalfSquaredError(), y, p, parts=2), y_true, y_pred
    )
    for share, half in zip(shares, (slice(6), slice(6, 12)), strict=True):
        np.testing.assert_allclose(share, in_numpy(y_true[half], y_pred[half]), rtol=1e-6)
    np.testing.assert_allclose(sum(shares), in_numpy(y_true, y_pred), rtol=1e-6)
    assert shares[1] > 2 * shares[0]


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"Received: \(4,\) and \(4, 1\)"):
        HalfSquaredError()(np.zeros(4), np.zeros((4, 1)))


def test_the_first_update_is_that_of_gradient_descent():
    """Through the trainer, at a learning rate of 1: the weights lose the very gradient."""
    trainer, log = dln_trainer(depth=5, dim=10, lr=1.0), Values()
    batches = full_batches(100, 10)
    start = values_of(trainer.model)
    loss, gradients = loss_and_gradients(start, *batch_of(100, 10))
    trainer.fit(batches, 1, [log])
    assert error(log.losses[0], loss) < 1e-5
    for before, after, gradient in zip(start, values_of(trainer.model), gradients, strict=True):
        assert error(before - after, gradient) < 1e-5


def plain_loop(trainer, batches, steps):
    """One step after the other from Python, each written out; its losses."""
    model, optimizer, loss_fn = trainer.model, trainer.optimizer, trainer.loss_fn

    @tf.function(autograph=False)
    def make_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    losses = []
    for step in range(steps):
        x, y = (array[0] for array in batches.stack(step, step + 1))
        losses.append(float(make_step(tf.constant(x), tf.constant(y))))
    return losses


@pytest.mark.parametrize("norm, batch_size", [("none", 24), ("none", 8), ("bn", 24)])
def test_the_loop_in_the_graph_equals_a_plain_one_bit_for_bit(norm, batch_size):
    """For any split of the steps into graph calls, losses and every variable included."""
    split = load_gaussian(24, 4, 0).train
    make = functools.partial(
        dln_trainer, norm, optimizer=lambda: keras.optimizers.SGD(1e-3, momentum=0.5)
    )
    expected = make()
    losses = plain_loop(expected, Batches(split, batch_size, seed=2), 40)
    assert losses[-1] < 0.9 * losses[0]
    variables = expected.model.variables + expected.optimizer.variables
    for events in (At([]), Every(7), At([3, 4, 30])):
        trainer, log = make(), Values(events)
        trainer.fit(Batches(split, batch_size, seed=2), 40, [log])
        np.testing.assert_array_equal(log.losses, losses)
        found = trainer.model.variables + trainer.optimizer.variables
        for got, want in zip(found, variables, strict=True):
            np.testing.assert_array_equal(got.numpy(), want.numpy(), err_msg=want.path)
        assert trainer._train_steps.experimental_get_tracing_count() == 1


def test_training_in_parts_equals_training_at_once():
    whole, parts = dln_trainer("bn"), dln_trainer("bn")
    whole.fit(full_batches(), 30)
    for steps in (1, 4, 30):
        parts.fit(full_batches(), steps)
    assert whole.step == parts.step == 30
    for got, want in zip(parts.model.variables, whole.model.variables, strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy(), err_msg=want.path)


@pytest.mark.parametrize("norm", ["none", "bn"])
def test_two_replicas_train_and_measure_what_one_device_does(norm, two_replicas):
    """The loss is a sum: nothing is divided by the number of replicas, nor counted twice.

    Steps to 1e-4; distances and shifts are small differences of gradients, to 1e-3. With BN, whose
    graphs are larger, only two layers and no ICS.
    """
    runs = []
    for strategy in (None, two_replicas):
        trainer = dln_trainer(norm, depth=3 if norm == "none" else 2, strategy=strategy)
        log, watchers = Values(), [callbacks.RandomLandscape([1e-3], directions=2, every=3)]
        if norm == "none":
            watchers.append(callbacks.Landscape([1e-3], every=3))
            watchers.append(callbacks.InternalCovariateShift(every=3))
        trainer.fit(full_batches(), 4, [log, *watchers])
        records = [record for watcher in watchers for record in watcher.records]
        runs.append((trainer, log.losses, records))
    (one, losses, records), (two, other_losses, other_records) = runs
    assert two.replicas == 2
    np.testing.assert_allclose(other_losses, losses, rtol=1e-5)
    for got, want in zip(two.model.variables, one.model.variables, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-4, atol=1e-6)
    assert len(records) == (4 + 2 + 2 if norm == "none" else 4)
    for got, want in zip(other_records, records, strict=True):
        assert got.keys() == want.keys()
        for name in want.keys() - {"kind", "layers", "statistics", "precision"}:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-3, atol=1e-4, err_msg=name)
    # Their first loss is that of the whole batch, from the formula.
    if norm == "none":
        start = models.deep_linear("none", 3, 4, seed=1)
        expected, _ = loss_and_gradients(values_of(start), *batch_of())
        np.testing.assert_allclose(other_losses[0], expected, rtol=1e-5)


@pytest.mark.parametrize("norm, replicas", [("none", 2), ("bn", 1)])
def test_a_split_evaluated_in_parts_is_the_sum_of_them(norm, replicas, two_replicas):
    x, y = batch_of(24, 4, seed=5)
    trainer = dln_trainer(norm, depth=2, strategy=two_replicas if replicas == 2 else None)
    trainer.fit(full_batches(), 3)
    outputs = trainer.model(x, training=False).numpy().astype(np.float64)
    expected = 0.5 * ((outputs - y) ** 2).sum()
    for batch_size in (24, 100, 10, 1):
        values = trainer.evaluate(x, y, batch_size)
        assert "accuracy" not in values
        np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_smoothed_labels_by_the_definition(share):
    """Against one-hot targets that are mixed with the uniform distribution, in NumPy."""
    generator = np.random.default_rng(0)
    logits, labels = 3 * generator.normal(size=(6, 4)), generator.integers(0, 4, 6)
    log_softmax = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets = (1 - share) * np.eye(4)[labels] + share / 4
    expected = -(targets * log_softmax).sum(-1).mean()
    loss = SmoothedCrossEntropy(share)
    np.testing.assert_allclose(loss(labels, logits.astype("float32")), expected, rtol=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.share == share
