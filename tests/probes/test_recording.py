"""Recording the calls inside a model, and leaving it as it was."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnkit.layers import BatchNorm
from bnkit.probes.pre_activations import pre_activations
from bnkit.probes.recording import parts, recorded

Dense, Input, ReLU = keras.layers.Dense, keras.Input, keras.layers.ReLU


def rows(samples=6, features=4):
    return np.random.default_rng(0).normal(size=(samples, features)).astype("float32")


def follow(model, x):
    """Records the calls of a model, eagerly and in a graph."""
    weights = [v.value for v in model.trainable_variables]
    state = [v.value for v in model.non_trainable_variables]
    for wrap in (lambda function, **options: function, tf.function):
        wrap(lambda: pre_activations(model, weights, state, x)[0][1], autograph=False)()


def attributes(model):
    """The attributes of all layers, in order, with what they are."""
    everything = [model, *parts(model)]
    return [[(name, id(value)) for name, value in vars(part).items()] for part in everything]


def small():
    inputs = Input((4,))
    x = BatchNorm()(Dense(5, activation="relu", name="a")(inputs))
    return keras.Model(inputs, Dense(2, name="b")(keras.ops.relu(x)))


def test_the_model_is_left_as_it_was():
    model = small()
    model(rows())
    before = attributes(model)
    follow(model, rows())
    assert attributes(model) == before


def test_the_model_is_left_as_it_was_by_a_call_that_fails():
    class Failing(keras.layers.Layer):
        def call(self, inputs):
            if self.fails:
                raise ArithmeticError("as asked")
            return inputs

    failing = Failing()
    failing.fails = False
    model = keras.Sequential([Input((4,)), Dense(5, activation="relu"), failing, Dense(2)])
    model(rows())
    failing.fails = True
    before = attributes(model)
    with pytest.raises(ArithmeticError, match="as asked"):
        follow(model, rows())
    assert attributes(model) == before


def test_an_own_call_attribute_is_put_back():
    layer = Dense(2)
    model = keras.Sequential([Input((4,)), layer])
    seen = []
    own = layer.call

    def replacement(x, **options):
        seen.append(x)
        return own(x, **options)

    object.__setattr__(layer, "call", replacement)
    follow(model, rows())
    assert vars(layer)["call"] is replacement
    # Eagerly and in the graph, and each time once more to see what reaches what.
    assert len(seen) == 4


def test_each_thread_records_its_own_calls():
    """As replicas do: the second begins and ends while the first is in the middle of its block."""
    layer = ReLU()
    in_first, second_done = threading.Event(), threading.Event()
    seen, other = {}, tf.constant([-2.0, 3.0])

    def first():
        with recorded([(layer, "call")]) as calls:
            layer(tf.constant([1.0]))
            in_first.set()
            assert second_done.wait(10)
            layer(tf.constant([2.0]))
        seen["first"] = [call.inputs[0].numpy().tolist() for call in calls]

    thread = threading.Thread(target=first)
    thread.start()
    assert in_first.wait(10)
    layer(other)
    with recorded([(layer, "call")]) as calls:
        layer(other)
    assert "call" in vars(layer)
    second_done.set()
    thread.join()
    assert [call.outputs[0].numpy().tolist() for call in calls] == [[0.0, 3.0]]
    assert seen["first"] == [[1.0], [2.0]]
    assert "call" not in vars(layer)


def test_calls_in_a_graph_of_their_own_are_not_recorded():
    layer = ReLU()
    values = tf.constant([[-1.0], [1.0]])

    @tf.function(autograph=False)
    def measure(values):
        with recorded([(layer, "call")]) as calls:
            mapped = tf.map_fn(layer, values)
            layer(values)
        assert len(calls) == 1
        return mapped, calls[0].outputs[0]

    for result in measure(values):
        np.testing.assert_array_equal(result, [[0.0], [1.0]])


def test_with_a_tape_gradients_are_of_what_the_call_makes_of_its_input():
    """`L = relu(x) + 5 x`: of the call alone, 1."""
    layer = ReLU()
    x = tf.constant([2.0])
    tape = tf.GradientTape()
    with tape, recorded([(layer, "call")], tape) as calls:
        loss = layer(x) + 5 * x
    np.testing.assert_array_equal(tape.gradient(loss, calls[0].inputs[0]), [1.0])
