"""Every gradient that is written out, in all modes of differentiation, against float64 differences.

Central differences with step 1e-5, of float64 gradients: they are good to 1e-9. float32 goes
through sums of a hundred terms, and second derivatives through several of them.
"""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from reference import error

import bnkit
from bnkit.layers import BatchNorm, LpNorm

DENSE, IMAGE = (8, 5), (4, 3, 2, 5)
# Layer and shape -> where its gradient is written out. For images float32 takes the kernels.
CASES = {
    "bn dense": (BatchNorm, DENSE, "float32", "batch_norm.py"),
    "bn dense float64": (BatchNorm, DENSE, "float64", "batch_norm.py"),
    "bn image": (BatchNorm, IMAGE, "float32", "kernels.py"),
    "l2 image": (lambda **options: LpNorm(2, **options), IMAGE, "float32", "kernels.py"),
    "linf dense": (lambda **options: LpNorm("inf", **options), DENSE, "float32", "lp_norm.py"),
    "linf float64": (lambda **options: LpNorm("inf", **options), IMAGE, "float64", "lp_norm.py"),
    "linf image": (lambda **options: LpNorm("inf", **options), IMAGE, "float32", "lp_norm.py"),
}
each_case = pytest.mark.parametrize("case", CASES)
TOLERANCE = {"float32": 1e-4, "float64": 1e-7}


def test_every_file_with_a_gradient_written_out_is_in_the_table():
    package = pathlib.Path(bnkit.__file__).parent
    found = {path.name for path in package.rglob("*.py") if "custom_gradient" in path.read_text()}
    assert found == {file for *_, file in CASES.values()}


class Problem:
    """A loss of inputs, scale and shift, and a direction to differentiate it along."""

    def __init__(self, make, shape, dtype):
        self._layers = {d: make(epsilon=1e-2, dtype=d) for d in {dtype, "float64"}}
        for layer in self._layers.values():
            layer.build(shape)
        rng = np.random.default_rng(0)
        units = shape[-1]
        self._at = [
            rng.normal(1, 1, shape),
            rng.uniform(0.5, 2, units),
            rng.normal(size=units),
        ]
        self._along = [rng.normal(size=np.shape(value)) for value in self._at]
        self._weights = rng.normal(size=shape)
        self.dtype = dtype

    def tensors(self):
        return [[tf.constant(v, self.dtype) for v in values] for values in (self._at, self._along)]

    def loss(self, values):
        layer = self._layers[values[0].dtype.name]
        state = [variable.value for variable in layer.non_trainable_variables]
        outputs, _ = layer.stateless_call(values[1:], state, values[0], training=True)
        return tf.reduce_sum(tf.sin(outputs) * tf.cast(self._weights, outputs.dtype))

    def gradient(self, values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = self.loss(values)
        return tape.gradient(loss, values)

    def derivatives(self, at, along):
        """First derivatives along the direction, then second ones, each in two modes."""
        with tf.autodiff.ForwardAccumulator(at, along) as forward:
            loss = self.loss(at)
        with tf.GradientTape() as tape:
            tape.watch(at)
            gradient = self.gradient(at)
        with tf.autodiff.ForwardAccumulator(at, along) as forward_over_reverse:
            again = self.gradient(at)
        return {
            "forward": [forward.jvp(loss)],
            "reverse": [
                tf.add_n([tf.reduce_sum(g * d) for g, d in zip(again, along, strict=True)])
            ],
            "reverse over reverse": tape.gradient(gradient, at, output_gradients=along),
            "forward over reverse": [forward_over_reverse.jvp(g) for g in again],
        }

    def expected(self):
        def moved(function, step):
            values = [v + step * d for v, d in zip(self._at, self._along, strict=True)]
            return function([tf.constant(value) for value in values])

        def differences(function):
            pairs = zip(moved(function, 1e-5), moved(function, -1e-5), strict=True)
            return [(ahead.numpy() - behind.numpy()) / 2e-5 for ahead, behind in pairs]

        first = differences(lambda values: [self.loss(values)])
        second = differences(self.gradient)
        return {
            "forward": first,
            "reverse": first,
            "reverse over reverse": second,
            "forward over reverse": second,
        }


@pytest.mark.parametrize("way", ["eager", "graph", "compiled"])
@each_case
def test_derivatives_in_all_modes(case, way):
    problem = Problem(*CASES[case][:3])
    calculate = problem.derivatives
    if way != "eager":
        calculate = tf.function(calculate, autograph=False, jit_compile=way == "compiled")
    found, expected = calculate(*problem.tensors()), problem.expected()
    errors = {
        f"{mode} {position}": error(value, wanted)
        for mode in expected
        for position, (value, wanted) in enumerate(zip(found[mode], expected[mode], strict=True))
    }
    assert len(errors) == 8
    assert max(errors.values()) < TOLERANCE[problem.dtype], errors


@pytest.mark.parametrize("compiled", [False, True])
@each_case
def test_forward_mode_around_a_function_is_right_or_an_error(case, compiled):
    """TensorFlow cannot go through nested gradients, those of the kernels, and says so."""
    make, shape, dtype, _ = CASES[case]
    problem = Problem(make, shape, dtype)
    at, along = problem.tensors()
    loss = tf.function(problem.loss, autograph=False, jit_compile=compiled)

    def along_direction():
        with tf.autodiff.ForwardAccumulator(at, along) as forward:
            value = loss(at)
        return forward.jvp(value)

    if shape == IMAGE and dtype == "float32":
        with pytest.raises(TypeError, match="InternalError"):
            along_direction()
    else:
        expected = problem.expected()["forward"]
        assert error([along_direction()], expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_kernels_keep_the_type_of_the_images_in_all_derivatives(dtype):
    x = tf.cast(np.random.default_rng(0).normal(size=IMAGE), dtype)
    for layer in (BatchNorm(dtype=f"mixed_{dtype}"), LpNorm(2, dtype=f"mixed_{dtype}")):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                outputs = tf.square(layer(x, training=True))
            gradient = inner.gradient(outputs, x)
        second = outer.gradient(gradient, x)
        assert {t.dtype.name for t in (outputs, gradient, second)} == {dtype}
        assert all(np.isfinite(np.float32(t)).all() for t in (outputs, gradient, second))
