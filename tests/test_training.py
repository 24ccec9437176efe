import functools

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from bnkit.callbacks import Callback
from bnkit.layers import BatchNorm, NoisyBatchNorm
from bnkit.schedules import At, Every
from bnkit.training import Diverged


class Log(Callback):
    """Writes down every call."""

    def __init__(self, when=None):
        super().__init__(when)
        self.calls, self.values = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(("begin", batch, self.trainer.step))

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(("end", batch, self.trainer.step))

    def on_train_end(self, logs=None):
        self.calls.append(("done", self.trainer.step))

    def on_steps_end(self, first, values):
        self.values += [
            (first + i, dict(zip(values, row, strict=True)))
            for i, row in enumerate(zip(*values.values(), strict=True))
        ]


def weights_of(trainer):
    return [v.numpy() for v in trainer.model.variables + trainer.optimizer.variables]


def fitted(steps=12, callbacks=(), batches=None, **options):
    trainer = small.trainer(**options)
    trainer.fit(batches or small.batches(), steps, callbacks)
    return trainer


def assert_same(first, second):
    for a, b in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("norm", [None, BatchNorm])
def test_the_loop_is_plain_sgd_with_momentum(norm):
    """Against a loop written out in eager TensorFlow with the update of SGD in NumPy."""
    model = small.model(norm)
    loss_fn, batches = small.cross_entropy(), small.batches()
    velocity = [np.zeros(v.shape, "float32") for v in model.trainable_variables]
    losses = []
    for step in range(6):
        x, y = (array[0] for array in batches.stack(step, step + 1))
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(small.prepare(x), training=True))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        for i, (v, g) in enumerate(zip(model.trainable_variables, gradients, strict=True)):
            velocity[i] = 0.9 * velocity[i] - 0.1 * g.numpy()
            v.assign(v.numpy() + velocity[i])
        losses.append(float(loss))
    log = Log()
    trainer = fitted(6, [log], norm=norm)
    np.testing.assert_allclose([v["loss"] for _, v in log.values], losses, rtol=1e-5)
    for mine, theirs in zip(trainer.model.variables, model.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)


def test_any_split_of_the_steps_gives_the_same_bits():
    whole = fitted()
    for events in (At([]), Every(1), Every(5), At([3, 4, 11])):
        assert_same(whole, fitted(callbacks=[Log(events)]))
    resumed = small.trainer()
    for steps in (1, 7, 12):
        resumed.fit(small.batches(), steps)
    assert_same(whole, resumed)


def test_steps_are_traced_once():
    trainer = fitted(20, [Log(Every(6))])
    assert trainer._train_steps.experimental_get_tracing_count() == 1


def test_callbacks_are_called_at_their_steps_and_hear_of_all():
    every, at, silent = Log(Every(4)), Log(At([5])), Log()
    fitted(10, [every, at, silent])
    assert every.calls == [
        ("begin", 0, 0), ("end", 0, 1), ("begin", 4, 4), ("end", 4, 5),
        ("begin", 8, 8), ("end", 8, 9), ("done", 10),
    ]  # fmt: skip
    assert at.calls == [("begin", 5, 5), ("end", 5, 6), ("done", 10)]
    assert silent.calls == [("done", 10)]
    for log in (every, at, silent):
        assert [step for step, _ in log.values] == list(range(10))


def test_the_batch_of_a_step_is_the_one_trained_on():
    losses = []

    class Loss(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            x, y = self.trainer.batch()
            outputs = self.model(small.prepare(x), training=True)
            losses.append(float(self.trainer.loss_fn(y, outputs)))

    log = Log()
    fitted(10, [Loss(At([0, 4, 9])), log], norm=None)
    trained = dict(log.values)
    np.testing.assert_allclose(losses, [trained[s]["loss"] for s in (0, 4, 9)], rtol=1e-6)


@pytest.mark.parametrize("norm", [None, small.synchronized])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
def test_two_replicas_equal_one_device(two_replicas, norm, reduction):
    """To 1e-5 over 20 steps, moving statistics included; weight decay is not counted twice."""
    logs = [Log(), Log()]
    one, two = (
        fitted(
            20,
            [log],
            norm=norm,
            strategy=strategy,
            loss=small.cross_entropy(reduction),
            optimizer=lambda: keras.optimizers.SGD(0.1 if reduction != "sum" else 0.1 / 8),
            weight_decay=0.01,
        )
        for log, strategy in zip(logs, (None, two_replicas), strict=True)
    )
    for a, b in zip(weights_of(one), weights_of(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    for (_, a), (_, b) in zip(logs[0].values, logs[1].values, strict=True):
        assert a.keys() == b.keys() == {"loss", "accuracy", "penalty"}
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=1e-6)


def test_unsynchronised_replicas_differ_from_one_device_but_not_from_each_other(two_replicas):
    one, two = fitted(norm=BatchNorm), fitted(norm=BatchNorm, strategy=two_replicas)
    assert not np.allclose(one.model.get_weights()[0], two.model.get_weights()[0], atol=1e-5)
    for variable in two.model.variables:
        first, second = two_replicas.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first.numpy(), second.numpy())


def test_weight_decay_pulls_kernels_alone_and_is_logged_apart():
    def trained(weight_decay):
        log = Log()
        trainer = small.trainer(
            weight_decay=weight_decay, optimizer=lambda: keras.optimizers.SGD(0.1)
        )
        start = [v.numpy() for v in trainer.model.trainable_variables]
        trainer.fit(small.batches(), 1, [log])
        return start, [v.numpy() for v in trainer.model.trainable_variables], log.values[0][1]

    start, plain, values = trained(0.0)
    _, decayed, decayed_values = trained(0.5)
    for before, without, with_decay in zip(start, plain, decayed, strict=True):
        pull = 0.1 * 0.5 * before if before.ndim > 1 else 0
        np.testing.assert_allclose(without - with_decay, pull * np.ones_like(before), atol=1e-6)
    penalty = 0.5 / 2 * sum((v.astype("float64") ** 2).sum() for v in start if v.ndim > 1)
    np.testing.assert_allclose(decayed_values["penalty"], penalty, rtol=1e-6)
    assert decayed_values["loss"] == values["loss"] and "penalty" not in values


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize("batch_size", [64, 25, 7])
def test_evaluation_counts_every_sample_once(reduction, batch_size, two_replicas):
    data = small.split(64)
    for strategy in (None, two_replicas):
        trainer = small.trainer(strategy=strategy, loss=small.cross_entropy(reduction))
        before = weights_of(trainer)
        values = trainer.evaluate(data.x, data.y, batch_size)
        logits = trainer.model(small.prepare(data.x), training=False).numpy().astype("float64")
        log_sum = np.log(np.exp(logits).sum(-1))
        losses = log_sum - logits[np.arange(64), data.y]
        expected = losses.sum() if reduction == "sum" else losses.mean()
        np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)
        np.testing.assert_allclose(values["accuracy"], (logits.argmax(-1) == data.y).mean())
        for a, b in zip(before, weights_of(trainer), strict=True):
            np.testing.assert_array_equal(a, b)


def loss_of(model, x, y, training):
    logits = model(small.prepare(x), training=training).numpy().astype("float64")
    return np.mean(np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(y)), y])


@pytest.mark.parametrize("samples", [64, 24])
@pytest.mark.parametrize("distributed", [False, True])
def test_evaluation_with_other_statistics(samples, distributed, two_replicas):
    """Against copies of the model that forget at once: their state is that of the last batch."""
    batches = small.batches(samples=samples)
    trainer = fitted(batches=batches, strategy=two_replicas if distributed else None)
    data, size = small.split(30, seed=9), 12
    values = trainer.evaluate(data.x, data.y, size)

    def copy():
        model = small.model(lambda: BatchNorm(momentum=0.0))
        model.set_weights(trainer.model.get_weights())
        return model

    parts = [slice(start, start + size) for start in (0, 12, 24)]
    losses = [loss_of(copy(), data.x[part], data.y[part], training=True) for part in parts]
    expected = np.dot(losses, [12, 12, 6]) / 30
    np.testing.assert_allclose(values["loss_batch_statistics"], expected, rtol=1e-5)

    population = copy()
    seen = []
    # Of 24 samples there are but three batches of 8 before they come again.
    for x in batches.stack(0, min(5, samples // 8))[0]:
        population(small.prepare(x), training=True)
        seen.append([v.numpy() for v in population.non_trainable_variables])
    averages = [np.mean(of_batches, 0) for of_batches in zip(*seen, strict=True)]
    for variable, average in zip(population.non_trainable_variables, averages, strict=True):
        variable.assign(average)
    expected = loss_of(population, data.x, data.y, training=False)
    np.testing.assert_allclose(values["loss_population_statistics"], expected, rtol=1e-5)
    assert len({round(value, 3) for name, value in values.items() if "loss" in name}) == 3


def test_evaluation_changes_nothing_and_repeats_itself():
    """Also with noise, which acts in training mode; and compiles everything once."""
    trainer, data = fitted(norm=NoisyBatchNorm), small.split(20, seed=9)
    before = weights_of(trainer)
    first, second = (trainer.evaluate(data.x, data.y, 10) for _ in range(2))
    assert first == second and len(first) == 4
    for a, b in zip(before, weights_of(trainer), strict=True):
        np.testing.assert_array_equal(a, b)
    trainer.fit(small.batches(), 20)
    assert trainer.evaluate(data.x, data.y, 10) != first
    for function in (trainer._population_state, trainer._compare_statistics):
        assert function.experimental_get_tracing_count() == 1


def test_without_moving_statistics_nothing_more_is_evaluated():
    data = small.split(20, seed=9)
    plain, unfitted = fitted(norm=None), small.trainer(BatchNorm)
    dropout = fitted(norm=functools.partial(keras.layers.Dropout, 0.5, seed=1))
    for trainer in (plain, dropout, unfitted):
        assert trainer.evaluate(data.x, data.y, 10).keys() == {"loss", "accuracy"}
        for function in (trainer._population_state, trainer._compare_statistics):
            assert function.experimental_get_tracing_count() == 0


def test_divergence_is_reported_after_its_values():
    log = Log()
    with pytest.raises(Diverged, match="the training loss is nan at step") as caught:
        fitted(50, [log], norm=None, optimizer=lambda: keras.optimizers.SGD(1e30))
    values = dict(log.values)
    assert not np.isfinite(values[caught.value.step]["loss"])
    assert all(np.isfinite(values[step]["loss"]) for step in range(caught.value.step))


def test_nothing_is_reported_after_divergence_in_the_middle_of_a_call(monkeypatch):
    log, trainer = Log(), small.trainer()
    train = trainer._train

    def diverges_at_seven(first, stop):
        values = train(first, stop)
        values["loss"] = np.where(np.arange(first, stop) >= 7, np.nan, values["loss"])
        return values

    monkeypatch.setattr(trainer, "_train", diverges_at_seven)
    with pytest.raises(Diverged, match="nan at step 7"):
        trainer.fit(small.batches(), 40, [log])
    assert [step for step, _ in log.values] == list(range(8)) and trainer.step == 8


def test_stop_training_ends_early_and_training_can_go_on():
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    log, trainer = Log(), small.trainer()
    trainer.fit(small.batches(), 12, [Stop(At([4])), log])
    assert trainer.step == 5 and log.calls == []
    trainer.fit(small.batches(), 12, [log])
    assert_same(trainer, fitted())
    assert [step for step, _ in log.values] == list(range(12))


def test_replicas_share_a_batch_equally(two_replicas):
    with pytest.raises(ValueError, match=r"multiple of the 2 replicas\. Received: batch_size=7"):
        fitted(batches=small.batches(7), strategy=two_replicas)


def test_seconds_are_booked_where_they_were_spent():
    trainer = fitted(callbacks=[Log(Every(4))])
    seconds = trainer.clock.seconds
    assert set(seconds) == {"compile", "data", "train", "other"}
    assert all(value > 0 for value in seconds.values())
    assert sum(seconds.values()) <= trainer.clock.total
    trainer.clock.go_on({"train": 1000.0, "total": 2000.0})
    assert seconds["train"] > 1000 and 2000 < trainer.clock.total < 2100
