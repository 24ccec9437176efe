"""What a network has to calculate, against counts by hand and TensorFlow's own."""

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework.ops import get_stats_for_node_def

from bnkit import layers, models
from bnkit.experiment.arithmetic import forward_flop
from bnkit.study import cost


def test_a_convolution_and_a_dense_layer_by_hand():
    inputs = keras.Input((8, 6, 3))
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same")(inputs)  # 4 x 3 positions.
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    outputs = keras.layers.Dense(7)(keras.layers.Flatten()(x))
    convolution = 4 * 3 * 5 * (3 * 3 * 3) * 2
    dense = 7 * (4 * 3 * 5) * 2
    assert forward_flop(keras.Model(inputs, outputs)) == convolution + dense


def test_dense_layers_act_on_every_token_and_a_network_may_hold_another():
    inputs = keras.Input((9, 4))
    inner = keras.Sequential([keras.Input((9, 4)), keras.layers.Dense(6)])
    x = inner(inputs)
    x = models.attention.Attention(2)(x, x, x)
    # Tokens with tokens twice, over all channels together; then 9 dense layers.
    expected = 9 * 4 * 6 * 2 + 2 * (9 * 9 * 6 * 2)
    assert forward_flop(keras.Model(inputs, x)) == expected


def test_what_a_subclassed_model_calculates_is_not_known():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model(tf.zeros((1, 4)))
    assert forward_flop(model) is None


def counted(function, *shapes):
    """What TensorFlow's profiler takes for convolutions and matrix products, of all of a graph.

    `tf.compat.v1.profiler` itself leaves out what `tf.GradientTape` has added.
    """
    specs = [tf.TensorSpec(shape, kind) for shape, kind in shapes]
    graph = tf.function(function, autograph=False).get_concrete_function(*specs).graph
    kinds = ("Conv2D", "MatMul", "Conv2DBackpropInput", "Conv2DBackpropFilter")
    return sum(
        get_stats_for_node_def(graph, one.node_def, "flops").value
        for one in graph.get_operations()
        if one.type in kinds
    )


@pytest.mark.parametrize("build", [models.vgg, models.resnet, models.perceptron])
def test_as_many_as_the_profiler_counts_and_a_step_three_times_as_many(build):
    options = {"depth": 20} if build is models.resnet else {}
    model = build("bn", width=0.25, seed=0, **options)
    batch = 2
    x, y = ((batch, *model.input_shape[1:]), tf.float32), ((batch,), tf.int32)
    found = forward_flop(model)
    assert counted(lambda x: model(x, training=False), x) == batch * found

    def gradient(x, y):
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs)
            loss = tf.reduce_mean(losses)
        return tape.gradient(loss, model.trainable_variables)

    # Not quite: a first dense layer needs no gradient of its inputs. That of a first convolution is
    # in the graph, and is pruned before it runs.
    first = next(layer for layer in model.layers if layer.weights)
    is_dense = isinstance(first, keras.layers.Dense)
    left_out = forward_flop(keras.Model(model.input, first.output)) if is_dense else 0
    assert counted(gradient, x, y) == batch * (3 * found - left_out)


def test_a_wrapped_layer_counts_as_the_layer():
    counts = [
        forward_flop(models.vgg(layers.get(norm), width=0.125, seed=0))
        for norm in ("none", "weight", "bn")
    ]
    assert counts[0] == counts[1] == counts[2] > 0


def test_every_probe_has_its_cost():
    from bnkit.kinds import PROBES

    assert set(cost.GRADIENTS) == set(PROBES)
