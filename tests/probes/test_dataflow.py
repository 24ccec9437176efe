"""Where weights meet the data, in small models looked at by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnkit.probes.dataflow import meetings

Dense, Input = keras.layers.Dense, keras.Input
SPEC = tf.TensorSpec((None, 3))


def chain():
    layers = [Dense(4, name="a"), keras.layers.BatchNormalization(), Dense(2, name="b")]
    return keras.Sequential([Input((3,)), *layers])


@pytest.mark.parametrize("x", [SPEC, np.ones((2, 3)), tf.ones((2, 3)), Input((3,))], ids=repr)
def test_of_a_chain_each_meets_what_went_before(x):
    """Kernel and bias, scale and shift, kernel and bias."""
    first, second, third = meetings(chain(), x, [[0, 1], [2, 3], [4, 5]])
    assert first.position < second.position < third.position
    assert (first.sources, second.sources, third.sources) == (set(), {0}, {0, 1})
    assert first.companions == second.companions == third.companions == set()


def test_groups_need_not_be_layers_nor_be_complete():
    bias, kernel = meetings(chain(), SPEC, [[1], [4]])
    assert bias.sources == set() and kernel.sources == {0}


def test_a_graph_sees_the_same():
    model, found = chain(), []

    @tf.function(autograph=False)
    def inside(x):
        found.append(meetings(model, x, [[0, 1], [2, 3], [4, 5]]))
        return x

    inside(tf.ones((2, 3)))
    eager = meetings(model, SPEC, [[0, 1], [2, 3], [4, 5]])
    assert [(m.sources, m.companions) for m in found[0]] == [
        (m.sources, m.companions) for m in eager
    ]


def test_replicas_see_the_same(two_replicas, on_two_replicas):
    with two_replicas.scope():
        model = chain()
    found = []

    def measure(x):
        found.append([m.sources for m in meetings(model, x, [[0, 1], [2, 3], [4, 5]])])
        return tf.reduce_sum(x)

    on_two_replicas(measure, np.ones((4, 3), "float32"))
    assert found == [[set(), {0}, {0, 1}]] * 2


def test_what_is_joined_before_it_meets_the_data_is_told():
    class Product(keras.layers.Layer):
        def build(self, shape):
            self.a = self.add_weight(name="a", shape=(3, 2))
            self.b = self.add_weight(name="b", shape=(2, 3))

        def call(self, x):
            return x @ (self.a @ self.b)

    model = keras.Sequential([Input((3,)), Product()])
    first, second = meetings(model, SPEC, [[0], [1]])
    assert first.position == second.position
    assert (first.companions, second.companions) == ({1}, {0})


def test_what_is_not_called_meets_nothing():
    class Unused(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = Dense(2), Dense(2)
            for layer in (self.a, self.b):
                layer.build((None, 3))

        def call(self, x):
            return self.b(x)

    first, second = meetings(Unused(), SPEC, [[0, 1], [2, 3]])
    assert first is None and second.sources == set()


def test_a_second_use_adds_to_what_it_meets():
    inputs = Input((3,))
    layer, other = Dense(3), Dense(3)
    model = keras.Model(inputs, layer(other(layer(inputs))))
    paths = [v.path for v in model.trainable_variables]
    groups = [[paths.index(v.path) for v in one.variables] for one in (layer, other)]
    first, second = meetings(model, SPEC, groups)
    assert first.position < second.position
    assert (first.sources, second.sources) == ({1}, {0})


def test_nothing_is_changed():
    model = chain()
    before = [v.numpy() for v in model.variables]
    meetings(model, SPEC, [[0, 1]])
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
