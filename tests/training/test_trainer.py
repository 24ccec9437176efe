import keras
import numpy as np
import pytest
import small
import tensorflow as tf
from small import fitted, weights_of

from bnkit import callbacks
from bnkit.callbacks import Callback
from bnkit.layers import BatchNorm
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
        fitted(data=small.batches(7), strategy=two_replicas)


def test_compiled_by_xla_it_trains_the_same(two_replicas):
    """To rounding, on one device under the strategy that runs have.

    Several replicas exchange values, which XLA does not compile.
    """
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    plain, compiled = (fitted(5, jit_compile=jit, strategy=strategy) for jit in (False, True))
    for one, other in zip(weights_of(plain), weights_of(compiled), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    assert "_XlaMustCompile" in str(
        compiled._train_steps.get_concrete_function().graph.as_graph_def()
    )
    with pytest.raises(ValueError, match="Received: jit_compile=True, 2 replicas"):
        small.trainer(strategy=two_replicas, jit_compile=True)


def test_probes_measure_a_twin_at_the_weights_of_the_model():
    """Every variable of it, at the step: here the twin is another network of the same sizes."""
    watchers = [[callbacks.Landscape([0.1], every=3), callbacks.Weights(every=3)] for _ in range(2)]
    fitted(4, watchers[0])
    twin = small.model(BatchNorm, seed=77)
    fitted(4, watchers[1], twin=twin)
    for one, other in zip(*watchers, strict=True):
        assert len(one.records) == 2 and one.records == other.records


def test_a_step_calls_nothing_on_the_host():
    """No Python, and no numbers that come out before the end of the call."""
    graph = fitted(1)._train_steps.get_concrete_function().graph
    functions = graph.as_graph_def().library.function
    called = {node.op for function in functions for node in function.node_def}
    called |= {operation.type for operation in graph.get_operations()}
    assert {"FusedBatchNormV3", "Conv2D"} <= called
    of_the_host = ("PyFunc", "Print", "Summary", "Dataset", "Iterator", "Send", "Recv", "Queue")
    assert not {name for name in called if any(part in name for part in of_the_host)}
