"""WeightNorm: the reparametrisation, and the layers that it wraps.

That it calculates `x (g v / ||v||) + b`, with all gradients, is in `test_registry.py`.
"""

import functools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit.layers import WeightNorm
from bnkit.probes import landscape, stages

FLOAT32 = 1e-5

INNER = {
    "dense": (functools.partial(keras.layers.Dense, 5), (4,)),
    "sequence": (functools.partial(keras.layers.Dense, 5), (3, 4)),
    "no bias": (functools.partial(keras.layers.Dense, 5, use_bias=False), (4,)),
    "activation": (functools.partial(keras.layers.Dense, 5, "tanh"), (4,)),
    "image": (functools.partial(keras.layers.Conv2D, 5, 3), (6, 5, 4)),
    "same, strided": (functools.partial(keras.layers.Conv2D, 5, 3, 2, "same"), (6, 5, 4)),
    "groups": (functools.partial(keras.layers.Conv2D, 6, 3, groups=2), (6, 5, 4)),
    "convolution 1": (functools.partial(keras.layers.Conv1D, 5, 3), (6, 4)),
}
each_inner = pytest.mark.parametrize("make, shape", INNER.values(), ids=INNER.keys())


def random_batch(shape, samples=8, seed=0):
    return np.random.default_rng(seed).normal(size=(samples, *shape)).astype("float32")


def randomised(layer, shape):
    layer.build((None, *shape))
    rng = np.random.default_rng(7)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


@each_inner
def test_starts_as_the_layer_would_without(make, shape):
    """The same function of the same draw; g takes the kernel's own length."""
    glorot = keras.initializers.GlorotUniform(seed=3)
    bare, inner = (make(kernel_initializer=glorot) for _ in range(2))
    wrapped, x = WeightNorm(inner), random_batch(shape)
    expected = bare(x)
    assert error(wrapped(x), expected) < FLOAT32
    np.testing.assert_array_equal(inner.kernel, bare.kernel)
    units = np.reshape(bare.kernel, (-1, bare.kernel.shape[-1]))
    assert error(wrapped.g, np.linalg.norm(units, axis=0)) < FLOAT32
    assert wrapped.compute_output_shape((None, *shape)) == bare.compute_output_shape((None, *shape))
    assert wrapped.count_params() == bare.count_params() + bare.kernel.shape[-1]


@each_inner
def test_calculates_what_the_layer_would_with_the_normalised_kernel(make, shape):
    """The kernel is g along v, whatever the length of v."""
    wrapped, bare, x = randomised(WeightNorm(make()), shape), make(), random_batch(shape)
    outputs = wrapped(x)
    inner = wrapped.layer
    bare.build((None, *shape))
    bare.kernel.assign(reference.weight_norm(inner.kernel, np.asarray(wrapped.g)))
    if bare.use_bias:
        bare.bias.assign(inner.bias)
    assert error(outputs, bare(x)) < FLOAT32
    inner.kernel.assign(inner.kernel * np.linspace(0.1, 9, inner.kernel.shape[-1]))
    assert error(wrapped(x), outputs) < FLOAT32


@each_inner
def test_the_gradient_of_v_is_orthogonal_to_v(make, shape):
    """Equation 3 of the source: it is projected; relative to both lengths, unit by unit."""
    wrapped, x = randomised(WeightNorm(make()), shape), random_batch(shape)
    with tf.GradientTape() as tape:
        outputs = wrapped(x, training=True)
        loss = tf.reduce_sum(tf.sin(outputs))
    kernel = wrapped.layer.kernel
    v, by_v = (
        np.reshape(values, (-1, kernel.shape[-1])).astype("float64")
        for values in (kernel, tape.gradient(loss, kernel.value))
    )
    lengths = np.linalg.norm(v, axis=0) * np.linalg.norm(by_v, axis=0)
    assert lengths.min() > 0
    np.testing.assert_allclose((v * by_v).sum(0) / lengths, 0, atol=FLOAT32)


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            WeightNorm(keras.layers.Conv2D(3, 2, name="conv1"), name="norm1"),
            keras.layers.Flatten(),
            WeightNorm(keras.layers.Dense(3, name="dense2"), name="norm2"),
        ]
    )


def labels(samples=8):
    return np.arange(samples) % 3


cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_training_moves_v_g_and_bias_of_every_layer():
    model, x = network(), random_batch((4, 4, 2))
    model.compile(keras.optimizers.SGD(0.5), cross_entropy)
    names = [v.name for v in model.trainable_variables]
    assert sorted(names) == sorted(["g", "kernel", "bias"] * 2)
    before = [v.numpy() for v in model.trainable_variables]
    losses = [float(model.train_on_batch(x, labels())) for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]
    for variable, start in zip(model.trainable_variables, before, strict=True):
        assert np.abs(variable.numpy() - start).max() > 1e-3


def test_g_v_and_bias_are_one_stage():
    found = stages(network())
    assert [stage.name for stage in found] == ["conv1", "dense2"]
    assert sorted(p for stage in found for p in stage.positions) == list(range(6))
    assert [len(stage.positions) for stage in found] == [3, 3]
    names = [v.name for v in network().trainable_variables]
    for stage in found:
        assert {names[p] for p in stage.positions} == {"g", "kernel", "bias"}


def test_a_probe_sees_the_weights_that_it_is_given():
    """The line through all weights, against losses of a network at those weights."""
    model, x = network(), random_batch((4, 4, 2))
    other = network()
    measured = landscape(model, cross_entropy, (x, labels()), [0.1, 0.4])
    with tf.GradientTape() as tape:
        loss = cross_entropy(labels(), model(x, training=True))
    gradient = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for step_size, expected in zip([0.1, 0.4], measured.losses.numpy(), strict=True):
        for there, here, g in zip(
            other.trainable_variables, model.trainable_variables, gradient, strict=True
        ):
            there.assign(here.value - step_size * g)
        at_point = float(cross_entropy(labels(), other(x, training=True)))
        assert at_point == pytest.approx(expected, rel=1e-5)
        assert abs(at_point - float(loss)) > 1e-2


def test_a_frozen_layer_is_frozen():
    layer = WeightNorm(keras.layers.Dense(3))
    layer.build((None, 4))
    layer.trainable = False
    assert layer.trainable_variables == []
    assert error(layer(random_batch((4,))), layer.layer(random_batch((4,)))) < FLOAT32


def test_half_precision_normalises_in_float32():
    """1e5 weights of 0.3 have a sum of squares of 9000, and bfloat16 three digits."""
    inner = keras.layers.Dense(2, dtype="mixed_bfloat16", kernel_initializer="ones")
    layer = WeightNorm(inner, dtype="mixed_bfloat16")
    layer.build((None, 100_000))
    inner.kernel.assign(np.full((100_000, 2), 0.3))
    layer.g.assign([1, 2])
    x = np.ones((1, 100_000), "float32")
    outputs = tf.cast(layer(x), tf.float32)
    # 1e5 g / sqrt(1e5), with the kernel and the product each rounded to 2^-9.
    assert error(outputs, [[np.sqrt(1e5), 2 * np.sqrt(1e5)]]) < 2 * 2.0**-8
    assert {v.dtype for v in layer.variables} == {"float32"}


@pytest.mark.parametrize("make", [keras.layers.ReLU, keras.layers.Flatten])
def test_a_layer_without_a_kernel(make):
    with pytest.raises(ValueError, match=r"must have a `kernel`\. Received: <(ReLU|Flatten)"):
        WeightNorm(make()).build((None, 4))
