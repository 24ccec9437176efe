"""Second derivatives that TensorFlow gets wrong: against differences of first ones, in float64."""

import threading

import keras
import numpy as np
import plain_tape
import pytest
import tensorflow as tf

from bnkit import layers, probes
from bnkit.probes import second_derivatives
from bnkit.probes.second_derivatives import mended

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _float64():
    keras.config.set_dtype_policy("float64")


def cross_entropy(y_true, y_pred):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y_true, y_pred))


NORMALISATIONS = {
    "batch": keras.layers.BatchNormalization,
    "masked batch": keras.layers.BatchNormalization,
    "layer": keras.layers.LayerNormalization,
    "bnkit's group": layers.get("group"),
    "bnkit's instance": layers.get("instance"),
}


@pytest.mark.parametrize(
    "name, in_graph", [("batch", False), *((name, True) for name in NORMALISATIONS)]
)
def test_curvature_through_normalisations_is_that_of_the_whole_hessian(name, in_graph):
    """Its rows by central differences of a plain tape's gradients."""
    make = NORMALISATIONS[name]
    keras.utils.set_random_seed(0)
    x = RNG.normal(size=(6, 3, 2))
    masking = []
    if name.startswith("masked"):
        masking = [keras.layers.Masking()]
        x[:, 2] = 0
    model = keras.Sequential(
        [
            keras.Input((3, 2)),
            *masking,
            keras.layers.Dense(4),
            make(),
            keras.layers.Activation("tanh"),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(3),
        ]
    )
    y = RNG.integers(0, 3, 6)
    state = plain_tape.values_of(model.non_trainable_variables)
    plain = plain_tape.Plain(model, lambda m: cross_entropy(y, m(x, training=True)), state)
    expected = plain_tape.curvature(plain, plain_tape.values_of(model.trainable_variables), 1e-5)
    wrap = tf.function if in_graph else lambda function, **options: function
    measured = wrap(
        lambda: probes.curvature(model, cross_entropy, (x, y), products=50, tolerance=1e-6),
        autograph=False,
    )()
    # The step squared times a third derivative over the second, of order 100 at most.
    assert float(measured.sharpness) == pytest.approx(expected["sharpness"], rel=1e-7)
    # An eigenvalue is exact to the square of the residual.
    assert float(measured.top_eigenvalue) == pytest.approx(expected["top_eigenvalue"], rel=1e-7)


def test_tensorflows_own_moments_have_another_second_derivative():
    """What this is about: should that be mended there, it is not needed here any more."""
    x = tf.constant([[1.0], [2.0]], tf.float64)

    def curvature_of_variance():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                variance = tf.nn.moments(x, 0)[1]
            gradient = inner.gradient(variance, x)
        return outer.jacobian(gradient, x).numpy().reshape(2, 2)

    # ((x_1 - x_2) / 2)^2.
    right = np.array([[0.5, -0.5], [-0.5, 0.5]])
    with mended():
        np.testing.assert_allclose(curvature_of_variance(), right, rtol=1e-15)
    assert np.abs(curvature_of_variance() - right).max() == 0.5


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_moments_are_tensorflows_own(keepdims, dtype):
    x = tf.cast(RNG.normal(3, 100, size=(4, 5, 3)), dtype)
    original = tf.nn.moments
    expected = original(x, [0, 1], keepdims=keepdims)
    with mended():
        assert tf.nn.moments is not original
        for ours, theirs in zip(tf.nn.moments(x, [0, 1], keepdims=keepdims), expected, strict=True):
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            np.testing.assert_array_equal(ours, theirs)


def test_bilinear_resizing_is_differentiated_twice():
    inputs = keras.Input((4, 5, 1), dtype="float32")
    model = keras.Sequential(
        [
            inputs,
            keras.layers.Conv2D(2, 2, dtype="float32"),
            keras.layers.UpSampling2D(2, interpolation="bilinear", dtype="float32"),
            keras.layers.Resizing(5, 3, dtype="float32"),
        ]
    )
    x = RNG.normal(size=(3, 4, 5, 1)).astype("float32")

    def mean_cube(y_true, y_pred):
        return tf.reduce_mean(y_pred**3)

    # The outputs are linear in the weights, so that L is a cubic and its gradient a quadratic:
    # central differences are exact but for rounding, also for a step of 1.
    plain = plain_tape.Plain(model, lambda m: mean_cube(None, m(x)), [])
    weights = plain_tape.values_of(model.trainable_variables)
    gradient = plain_tape.flat(plain.gradient(weights))
    unit = gradient / np.linalg.norm(gradient)
    expected = unit @ plain_tape.hessian_times(plain, weights, unit, step=1.0)
    function = tf.function(
        lambda: probes.curvature(model, mean_cube, (x, np.zeros(3)), products=1), autograph=False
    )
    assert float(function().sharpness) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [(8, 3), (2, 10), (4, 5)])
def test_resized_images_are_tensorflows_own(size):
    x = tf.constant(RNG.normal(size=(2, 4, 5, 3)), tf.float32)
    expected = {method: tf.image.resize(x, size, method) for method in ("bilinear", "bicubic")}
    antialiased = tf.image.resize(x, size, antialias=True)
    with mended():
        for method, image in expected.items():
            np.testing.assert_allclose(tf.image.resize(x, size, method), image, atol=1e-6)
        np.testing.assert_array_equal(tf.image.resize(x, size, antialias=True), antialiased)


def test_the_last_of_several_threads_puts_the_originals_back():
    originals = tf.nn.moments, tf.image.resize
    inside, go_on = threading.Event(), threading.Event()

    def other():
        with mended():
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=other)
    with mended():
        thread.start()
        assert inside.wait(10)
    assert tf.nn.moments is second_derivatives._moments
    go_on.set()
    thread.join()
    assert (tf.nn.moments, tf.image.resize) == originals
    with pytest.raises(KeyError), mended():
        raise KeyError
    assert (tf.nn.moments, tf.image.resize) == originals
