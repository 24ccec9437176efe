"""The names of the normalisations, and the contract that every one of them keeps."""

import functools
import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit import layers
from bnkit.layers.batch_norm import BatchNorm
from bnkit.layers.lp_norm import LpNorm
from bnkit.layers.noise import CovariateNoise

NAMES = [name for name in layers.names() if name != "none"]


def test_names_are_unique_and_hold_the_two_arms_of_the_study():
    assert len(set(layers.names())) == len(layers.names())
    assert {"none", "bn"} <= set(layers.names())


def test_none_is_no_layer():
    assert layers.get("none") is None


def test_a_factory_passes_its_arguments_on():
    layer = layers.get("bn")(epsilon=0.125, momentum=0.5, name="norm1")
    assert type(layer) is BatchNorm
    assert (layer.epsilon, layer.momentum, layer.name) == (0.125, 0.5, "norm1")


def test_a_factory_makes_a_new_layer_each_time():
    factory = layers.get("bn")
    assert factory() is not factory()


@pytest.mark.parametrize("name", ["batchnorm", "", "BN"])
def test_an_unknown_name_is_an_error_that_lists_the_valid_ones(name):
    with pytest.raises(ValueError, match=rf"none, bn.* Received: norm='{name}'"):
        layers.get(name)


def test_classes_are_attributes_of_the_package():
    assert layers.BatchNorm is BatchNorm
    with pytest.raises(AttributeError, match="has no attribute 'BatchNorn'"):
        _ = layers.BatchNorn


def test_names_are_known_without_tensorflow():
    program = "import sys, bnkit.layers as l; l.names(); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class Contract(NamedTuple):
    """A row of the table: what a normalisation calculates, and how one is made.

    Attributes:
        expected: `expected(x, values, training, draws)`, the outputs in float64 from the values of
            the layer's variables by name; `draws` are the `(scale, shift)` of its noise, or None.
        options: Arguments that are not the defaults, for the config.
        make: The factory; by default the one of the row's name.
        roundings: Roundings of a result of order 1 to the compute type, one after the other.
    """

    expected: Callable
    options: dict
    make: Callable | None = None
    roundings: int = 1


def batch_norm(x, values, training, draws):
    scale_and_shift = values["gamma"], values["beta"]
    if training:
        return reference.batch_norm(x, *scale_and_shift).outputs
    moving = values["moving_mean"], values["moving_variance"]
    return reference.batch_norm_inference(x, *scale_and_shift, *moving)


def noise(x, values, training, draws):
    return x * draws[0] + draws[1] if training else x


def noisy_batch_norm(x, values, training, draws):
    return noise(batch_norm(x, values, training, None), values, training, draws)


def lp_norm(p):
    def expected(x, values, training, draws):
        scale_and_shift = values["gamma"], values["beta"]
        if training:
            return reference.lp_norm(x, p, *scale_and_shift).outputs
        moving = values["moving_mean"], values["moving_spread"]
        return reference.lp_norm_inference(x, *scale_and_shift, *moving)

    return expected


def group_norm(groups):
    def expected(x, values, training, draws):
        return reference.group_norm(x, groups(x.shape[-1]), values["gamma"], values["beta"])

    return expected


def instance_norm(x, values, training, draws):
    if x.ndim == 2:
        return x * values["gamma"] + values["beta"]
    return group_norm(lambda units: units)(x, values, training, draws)


def rms_norm(x, values, training, draws):
    return reference.rms_norm(x, values["scale"])


def weight_norm(x, values, training, draws):
    return reference.linear(x, reference.weight_norm(values["kernel"], values["g"]), values["bias"])


OVER_BATCH = {"axis": -1, "momentum": 0.5, "epsilon": 0.25, "center": False, "synchronized": True}
NOISE = {"n_mu": 0.25, "n_sigma": 2.0, "r_mu": 0.5, "r_sigma": 0.75, "seed": 3}
GROUPS = {"epsilon": 0.25, "center": False}

CONTRACTS = {
    "bn": Contract(batch_norm, OVER_BATCH),
    # Batch norm's outputs are rounded, multiplied by up to 2, and rounded again.
    "noisy_bn": Contract(noisy_batch_norm, {**OVER_BATCH, **NOISE}, roundings=3),
    "noisy_none": Contract(noise, NOISE),
    "l1": Contract(lp_norm(1), OVER_BATCH),
    "l2": Contract(lp_norm(2), OVER_BATCH),
    "linf": Contract(lp_norm("inf"), OVER_BATCH),
    "layer": Contract(group_norm(lambda units: 1), GROUPS),
    "group": Contract(group_norm(lambda units: math.gcd(8, units)), {**GROUPS, "groups": 3}),
    "instance": Contract(instance_norm, GROUPS, roundings=3),
    "rms": Contract(rms_norm, {"epsilon": 0.25}, roundings=2),
    # The kernel, the product and the sum with the bias.
    "weight": Contract(weight_norm, {}, roundings=4),
    # Further p, which have no name.
    **{
        f"p={p}": Contract(lp_norm(p), OVER_BATCH, functools.partial(LpNorm, p))
        for p in (1.5, 3, 50)
    },
}
SHAPES = {"dense": (8, 6), "image": (4, 3, 2, 6)}
# float32: unit roundoff 6e-8, sums over at most 100 numbers of order 1, a root, a power (p = 50
# takes a fiftieth root of values of order 1) and a division: some tens of it.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# Central differences in float64 with step 1e-5: truncation 1e-10 and rounding 1e-16 / 1e-5, of
# losses of order 10; float32 adds its own.
GRADIENT_TOLERANCE = {"float32": 1e-5, "float64": 1e-7}


def test_every_registered_name_is_in_the_table():
    assert set(NAMES) <= CONTRACTS.keys(), "a name without its contract"


def test_those_that_look_across_the_batch_can_be_synchronized():
    shared = {name for name in NAMES if is_shared(name)}
    assert shared == {"bn", "noisy_bn", "l1", "l2", "linf"}


def factory_of(name):
    return CONTRACTS[name].make or layers.get(name)


def made(name, shape, /, **options):
    """The normalisation with what it needs: a wrapper around a weight layer, for 5 units."""
    factory = factory_of(name)
    if not layers.wraps(factory):
        return factory(**options)
    dtype = options.get("dtype")
    dense = len(shape) == 2
    layer = keras.layers.Dense(5, dtype=dtype) if dense else keras.layers.Conv2D(5, 2, dtype=dtype)
    return factory(layer, **options)


def randomised(layer, shape, seed=7):
    """Built, and every variable but random states at a value that is none of the usual."""
    if not layer.built:
        layer.build((None, *shape[1:]))
    rng = np.random.default_rng(seed)
    for variable in weights_of(layer):
        signed = variable.name in ("beta", "bias", "kernel", "moving_mean")
        values = rng.normal(size=variable.shape) if signed else rng.uniform(0.5, 2, variable.shape)
        variable.assign(values)
    return layer


def weights_of(layer):
    return [v for v in layer.variables if v.name != "seed_generator_state"]


def values_of(layer):
    return {v.name: np.asarray(v, np.float64) for v in weights_of(layer)}


def random_batch(shape, seed=0):
    """Units with different means and deviations."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * rng.uniform(0.3, 3, shape[-1]) + rng.normal(0, 2, shape[-1])


def noise_of(layer):
    return layer if isinstance(layer, CovariateNoise) else getattr(layer, "noise", None)


def draws_of(layer, shape):
    """`[scale, shift]` of the next training call: inputs 0 give the shift, inputs 1 add the scale.

    In half precision from a twin that does not round them.
    """
    noise = noise_of(layer)
    if noise is None:
        return []
    state = [noise.seed_generator.state.value]
    if noise.compute_dtype != noise.variable_dtype:
        noise = CovariateNoise(dtype=noise.variable_dtype)
    noise.build(shape)
    at_zero, at_one = (
        noise.stateless_call([], state, fill(shape, noise.compute_dtype), training=True)[0]
        for fill in (tf.zeros, tf.ones)
    )
    return [at_one - at_zero, at_zero]


def loss_weights(shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape)


def observe(layer, x, weights):
    """Outputs in training mode and gradients of `sum(weights * sin(outputs))`."""
    variables = layer.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(tf.sin(outputs) * tf.cast(weights, outputs.dtype))
    sources = {"x": x, **{v.name: v.value for v in variables}}
    return {"outputs": outputs, **tape.gradient(loss, sources)}


def expected_training(name, x, values, names, draws, weights):
    """What `observe` should give, all gradients by central differences of the reference."""
    calculate = CONTRACTS[name].expected

    def loss_at(changed, value):
        at = {"x": x, **values, changed: value}
        outputs = calculate(at.pop("x"), at, True, draws)
        return np.sum(np.sin(outputs) * weights)

    start = {"x": x, **values}
    gradients = {
        changed: reference.central_differences(functools.partial(loss_at, changed), start[changed])
        for changed in ["x", *names]
    }
    return {"outputs": calculate(x, values, True, draws), **gradients}


def assert_all_close(actual, expected, tolerance):
    assert actual.keys() == expected.keys()
    errors = {name: error(actual[name], expected[name]) for name in expected}
    assert all(value < tolerance for value in errors.values()), errors


def statistics(name, x):
    """The statistics of a batch under the names of their moving averages."""
    if name.endswith("bn"):
        result = reference.batch_norm(x)
        return {"moving_mean": result.mean, "moving_variance": result.variance}
    p = factory_of(name)().p
    result = reference.lp_norm(x, p)
    return {"moving_mean": result.mean, "moving_spread": result.size}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("name", CONTRACTS)
class TestContract:
    """Every normalisation is a Keras layer that goes between any two others."""

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_outputs_and_all_gradients_equal_the_numpy_reference(self, name, shape, dtype):
        """For images float32 takes a kernel, and float64 single operations."""
        layer = randomised(made(name, shape, name="norm3", dtype=dtype), shape)
        x = random_batch(shape).astype(dtype)
        values, draws = values_of(layer), [np.asarray(d) for d in draws_of(layer, shape)]
        calculate = CONTRACTS[name].expected
        inference = layer(x, training=False)
        expected = calculate(x.astype("float64"), values, False, draws)
        weights = loss_weights(expected.shape)
        actual = observe(layer, tf.constant(x), weights)

        assert layer.name == "norm3"
        assert actual["outputs"].dtype == inference.dtype == tf.as_dtype(dtype)
        assert error(inference, expected) < TOLERANCE[dtype]
        trainable = [v.name for v in layer.trainable_variables]
        wanted = expected_training(name, x.astype("float64"), values, trainable, draws, weights)
        outputs = actual.pop("outputs"), wanted.pop("outputs")
        assert error(*outputs) < TOLERANCE[dtype]
        assert_all_close(actual, wanted, GRADIENT_TOLERANCE[dtype])

    def test_training_moves_the_averages_and_inference_nothing(self, name, shape):
        layer = randomised(made(name, shape), shape)
        x = random_batch(shape)
        before = values_of(layer)
        layer(x, training=True)
        state = [v.numpy() for v in layer.variables]
        after = values_of(layer)
        if any("moving" in key for key in before):
            for key, batch in statistics(name, x).items():
                moved = reference.moving_average(before.pop(key), [batch], 0.9)
                assert error(after.pop(key), moved) < TOLERANCE["float32"]
        for key, value in before.items():
            np.testing.assert_array_equal(after[key], value)
        first, second = layer(x, training=False), layer(x)
        np.testing.assert_array_equal(first, second)
        for variable, value in zip(layer.variables, state, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)

    def test_config_round_trip(self, name, shape):
        options = CONTRACTS[name].options
        layer = made(name, shape, name="some_norm", **options)
        config = layer.get_config()
        assert {key: config[key] for key in options} == options
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert type(again) is type(layer) and type(layer).__module__.startswith("bnkit.")
        assert again.get_config() == config
        built = randomised(layer, shape)
        again = randomised(type(built).from_config(built.get_config()), shape)
        assert [(v.name, v.shape) for v in again.variables] == [
            (v.name, v.shape) for v in built.variables
        ]
        x = random_batch(shape)
        np.testing.assert_array_equal(again(x), built(x))
        # A seed is part of the config, and with it the noise.
        np.testing.assert_array_equal(again(x, training=True), built(x, training=True))

    def test_a_whole_model_is_saved_and_loaded(self, name, shape, tmp_path):
        stack = [keras.layers.ReLU(), keras.layers.Flatten(), keras.layers.Dense(3)]
        model = keras.Sequential([keras.Input(shape[1:]), made(name, shape), *stack])
        x = random_batch(shape)
        untrained = model(x, training=False)
        randomised(model.layers[0], shape)
        model(x, training=True)
        if weights_of(model.layers[0]):
            assert error(untrained, model(x)) > 0.01
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        configs = [json.dumps(m.layers[0].get_config()) for m in (model, loaded)]
        assert configs[0] == configs[1]
        np.testing.assert_array_equal(loaded(x), model(x))

    def test_one_trace_serves_all_batch_sizes(self, name, shape):
        layer = randomised(made(name, shape), shape)
        traces = []

        @tf.function(input_signature=[tf.TensorSpec((None, *shape[1:]))], autograph=False)
        def call(x):
            traces.append(x.shape)
            return layer(x, training=True)

        for size in (2, 7, 3):
            x = random_batch((size, *shape[1:]), seed=size).astype("float32")
            draws = [np.asarray(d) for d in draws_of(layer, x.shape)]
            expected = CONTRACTS[name].expected(x, values_of(layer), True, draws)
            assert error(call(x), expected) < TOLERANCE["float32"]
        assert len(traces) == 1

    def test_symbolic_shapes_and_types_are_those_of_the_outputs(self, name, shape):
        layer = made(name, shape)
        symbolic = layer(keras.Input(shape[1:]))
        outputs = layer(random_batch(shape), training=True)
        assert (*symbolic.shape[1:],) == (*outputs.shape[1:],)
        assert symbolic.dtype == outputs.dtype == "float32"
        assert layer.compute_output_shape((None, *shape[1:])) == symbolic.shape
        if not layers.wraps(factory_of(name)):
            assert outputs.shape == shape

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_half_precision_rounds_only_the_outputs(self, name, shape, policy):
        layer = randomised(made(name, shape, dtype=policy), shape)
        half = tf.as_dtype(layer.compute_dtype)
        x = tf.cast(random_batch(shape), half)
        draws = [np.asarray(d) for d in draws_of(layer, shape)]
        values = values_of(layer)
        exact = x.numpy().astype("float64")
        roundoff = 2.0**-8 if policy == "mixed_bfloat16" else 2.0**-11
        tolerance = 1.1 * roundoff * CONTRACTS[name].roundings
        for training in (False, True):
            outputs = layer(x, training=training)
            assert outputs.dtype == half
            expected = CONTRACTS[name].expected(exact, values, training, draws)
            assert error(tf.cast(outputs, tf.float32), expected) < tolerance
        assert {v.dtype for v in weights_of(layer)} <= {"float32"}


def is_shared(name):
    """Whether replicas may share the statistics of this normalisation."""
    factory = factory_of(name)
    return layers.synchronized(factory) is not factory


# One p stands for all that are neither 1, 2 nor infinite.
ON_REPLICAS = [(name, False) for name in CONTRACTS if name not in ("p=1.5", "p=50")]
ON_REPLICAS += [(name, True) for name, _ in ON_REPLICAS if is_shared(name)]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize(
    "name, synchronized",
    ON_REPLICAS,
    ids=[f"{name} {'synchronized' if synced else 'alone'}" for name, synced in ON_REPLICAS],
)
def test_two_replicas_with_different_data(name, synchronized, shape, two_replicas, on_two_replicas):
    """Synchronised as one device on the joined batch, otherwise each as one on its own."""
    make = functools.partial(made, name, shape)
    if synchronized:
        make = layers.synchronized(factory_of(name))
    x = random_batch(shape).astype("float32")
    x[len(x) // 2 :] = x[len(x) // 2 :] * 3 + 5
    with two_replicas.scope():
        layer = randomised(make(), shape)
    values, trainable = values_of(layer), [v.name for v in layer.trainable_variables]
    half = (len(x) // 2, *shape[1:])
    weights = loss_weights((len(x), *layer.compute_output_shape(shape)[1:])).astype("float32")

    def step(x, weights):
        draws = draws_of(layer, half)
        return {
            **observe(layer, x, weights),
            "draws": draws,
            "after": {v.name: tf.identity(v.value) for v in weights_of(layer)},
        }

    first, second = on_two_replicas(step, x, weights)
    draws = [result.pop("draws") for result in (first, second)]
    after = [result.pop("after") for result in (first, second)]
    joined = {key: first[key] + second[key] for key in trainable}
    joined |= {key: np.concatenate([first[key], second[key]]) for key in ("outputs", "x")}

    def wanted(x, weights, draws):
        exact = x.astype("float64")
        return expected_training(name, exact, values, trainable, draws, weights)

    if synchronized:
        both = [np.concatenate(d) for d in zip(*draws, strict=True)]
        expected = wanted(x, weights, both)
    else:
        shares = [
            wanted(*args) for args in zip(np.split(x, 2), np.split(weights, 2), draws, strict=True)
        ]
        expected = {key: shares[0][key] + shares[1][key] for key in trainable}
        expected |= {key: np.concatenate([s[key] for s in shares]) for key in ("outputs", "x")}
    assert_all_close(joined, expected, GRADIENT_TOLERANCE["float32"])

    for key, value in after[0].items():
        np.testing.assert_array_equal(after[1][key], value)
    if any("moving" in key for key in values):
        parts = [x] if synchronized else np.split(x, 2)
        found = [statistics(name, part) for part in parts]
        for key in found[0]:
            batch = np.mean([f[key] for f in found], axis=0)
            moved = reference.moving_average(values[key], [batch], 0.9)
            assert error(after[0][key], moved) < TOLERANCE["float32"]
