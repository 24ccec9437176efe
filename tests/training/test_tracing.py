"""Tracing ahead: the same values, in another thread, each function once."""

import json
import threading
import time
import weakref

import numpy as np
import pytest
import small
import tensorflow as tf

from bnkit import callbacks
from bnkit.layers import BatchNorm
from bnkit.training.tracing import Tracing


class Functions:
    """Some to be traced, and in which order and threads they are."""

    def __init__(self, count):
        self.asked = [self.function(number) for number in range(count)]
        self.traced = []
        self.may_go_on = threading.Event()

    def function(self, number):
        def python(x):
            self.may_go_on.wait(10)
            if number == 1:
                raise ValueError("the second cannot be traced")
            self.traced.append((number, threading.current_thread()))
            return x + number

        return tf.function(python, autograph=False)

    def tasks(self):
        spec = tf.TensorSpec([], tf.float32)
        return [(f, lambda f=f: f.get_concrete_function(spec)) for f in self.asked]


def test_in_the_order_asked_for_and_in_another_thread():
    functions, tracing = Functions(3), Tracing()
    first, second, third = functions.asked
    with tracing.ahead(functions.tasks()):
        assert functions.traced == []
        functions.may_go_on.set()
        tracing.wait(third)
        assert [number for number, _ in functions.traced] == [0, 2]
        assert threading.current_thread() not in {thread for _, thread in functions.traced}
        tracing.wait(first)
        with pytest.raises(ValueError, match="the second cannot be traced"):
            tracing.wait(second)
    assert float(third(tf.constant(1.0))) == 3
    assert third.experimental_get_tracing_count() == 1


def test_at_the_end_of_the_block_what_is_left_is_left_out():
    functions, tracing = Functions(3), Tracing()
    with tracing.ahead([functions.tasks()[number] for number in (0, 2)]):
        threading.Timer(0.1, functions.may_go_on.set).start()
    assert [number for number, _ in functions.traced] == [0]
    tracing.wait(functions.asked[2])  # no longer asked for: nothing to wait for
    tracing.wait(functions.asked[1])  # never was


def test_what_tasks_hold_is_let_go_once_they_are_done():
    batch = np.zeros(3)
    held = weakref.ref(batch)
    functions, tracing = Functions(1), Tracing()
    functions.may_go_on.set()
    tasks = [(functions.asked[0], lambda batch=batch: None)]
    del batch
    with tracing.ahead([tasks.pop()]):
        tracing.wait(functions.asked[0])
        time.sleep(0.1)
        assert held() is None


def watched(
    norm, tracers, probes=(callbacks.InternalCovariateShift, callbacks.Activations), **options
):
    """Records of a few steps with probes and evaluations; `tracers` gets the tracing threads."""

    def prepare(x):
        if not tf.executing_eagerly():
            tracers.append(threading.current_thread().name)
        return small.prepare(x)

    records = []
    trainer = small.trainer(norm, **options)
    trainer._prepare = trainer._evaluator._prepare = prepare
    watchers = [probe(every=3, write=records.append) for probe in probes]
    watchers.append(callbacks.Landscape([0.1, 0.2], every=3, write=records.append))
    test = small.split(16, seed=1)
    evaluation = callbacks.Evaluation(test, every=4, samples=8, batch_size=4, write=records.append)
    metrics = callbacks.TrainingMetrics(records.append)
    trainer.fit(small.batches(), 7, [*watchers, evaluation, metrics])
    compiled = [probe._compiled for probe in watchers]
    evaluator = trainer._evaluator
    compiled += [trainer._train_steps, evaluator._inference, evaluator._compare_statistics]
    counts = [function.experimental_get_tracing_count() for function in compiled]
    return records, counts


@pytest.mark.parametrize("norm", [None, BatchNorm])
def test_records_are_the_same_bits_and_each_function_is_traced_once(norm):
    in_turn, ahead = [], []
    expected, _ = watched(norm, in_turn)
    records, counts = watched(norm, ahead, traces_ahead=True)
    assert json.dumps(records) == json.dumps(expected)  # there are NaNs among them
    assert len(records) == 7 + 3 * 3 + 3 + 3
    assert counts == [1] * 5 + [int(norm is not None)]
    assert set(in_turn) == {"MainThread"}
    assert {name.rpartition("_")[0] for name in ahead} == {"tracing"}
    assert len(ahead) == len(in_turn)


def test_on_replicas_records_are_the_same_bits(two_replicas):
    expected, _ = watched(None, [], (), strategy=two_replicas)
    records, counts = watched(None, [], (), strategy=two_replicas, traces_ahead=True)
    assert json.dumps(records) == json.dumps(expected)
    assert counts == [1, 1, 1, 0]


class Unfit(callbacks.Landscape):
    """Cannot be traced."""

    def measure(self, loss_fn, batch):
        raise ValueError("no such landscape")


def test_what_cannot_be_traced_is_raised_when_it_is_due_and_nothing_before_is_lost():
    records = []
    trainer = small.trainer(traces_ahead=True)
    watchers = [Unfit(every=5, at=[2]), callbacks.TrainingMetrics(records.append)]
    trainer.step = 1
    with pytest.raises(ValueError, match="no such landscape"):
        trainer.fit(small.batches(), 7, watchers)
    assert [record["step"] for record in records] == [1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tracing")]
