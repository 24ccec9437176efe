"""Every registered layer keeps Keras's contract, argument by argument, as its twin does."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import error
from twins import TWINS, arguments_of, random_batch, registered_classes, state_of, weights_of

from bnkit.layers import WeightNorm

FLOAT32 = 1e-5
SHAPE = (6, 4, 6)
IMAGE = (6, 4, 3, 6)
each_twin = pytest.mark.parametrize("name", TWINS)
with_modes = pytest.mark.parametrize("name", [n for n, row in TWINS.items() if row.has_modes()])


def test_every_registered_layer_has_its_twin():
    assert {type(row.make()) for row in TWINS.values()} == registered_classes(), (
        "a layer without a row in tests/twins.py, or a row without its layer"
    )


@each_twin
def test_every_argument_of_the_twin_is_taken(name):
    row = TWINS[name]
    given = set(getattr(row.keras, "keywords", {}))
    left = arguments_of(row.keras) - row.options.keys() - row.without.keys() - given
    assert left <= {"training"}, "an argument of Keras's that nothing holds this layer to"


@each_twin
def test_arguments_do_what_the_twins_do(name):
    """Initial values, penalties and, after a large step, constraints; and the configuration."""
    row, x = TWINS[name], random_batch(SHAPE)
    ours, theirs = row.make(**row.renamed(row.options)), row.keras(**row.options)
    models = [keras.Sequential([keras.Input(SHAPE[1:]), layer]) for layer in (ours, theirs)]
    pairs = list(zip(weights_of(ours), weights_of(theirs), strict=True))
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)
        assert (one.trainable, type(one.constraint)) == (other.trainable, type(other.constraint))
    penalties = [float(sum(layer.losses)) for layer in (ours, theirs) if layer(x) is not None]
    assert penalties[0] == pytest.approx(penalties[1], rel=FLOAT32)
    assert (penalties[0] > 0.1) == any("regularizer" in argument for argument in row.options)
    for model in filter(lambda model: model.trainable_variables, models):
        model.compile(keras.optimizers.SGD(10.0), "mse")
        model.fit(x, np.cos(x), batch_size=len(x), verbose=0)
    for one, other in pairs:
        if row.same and name != "WeightNorm":
            assert error(one, other) < 10 * FLOAT32, one.name
        elif one.constraint:
            np.testing.assert_allclose(one, one.constraint(one.value), rtol=FLOAT32)
    again = type(ours).from_config(ours.get_config())
    again(x)
    assert again.get_config() == ours.get_config()


@each_twin
def test_an_argument_that_neither_takes_is_refused(name):
    row = TWINS[name]
    for make in (row.make, row.keras):
        with pytest.raises((ValueError, TypeError), match="no_such_argument"):
            make(no_such_argument=1)


def frozen_by_constructor(make):
    return keras.Sequential([keras.Input(SHAPE[1:]), make(trainable=False), dense()])


def frozen_layer(make):
    model = keras.Sequential([keras.Input(SHAPE[1:]), make(), dense()])
    model.layers[0].trainable = False
    return model


def frozen_model(make):
    model = keras.Sequential([keras.Input(SHAPE[1:]), make(), dense()])
    model.trainable = False
    return keras.Sequential([keras.Input(SHAPE[1:]), model, dense()])


def dense():
    return keras.layers.Dense(6)


def norm_of(model):
    first = model.layers[0]
    return norm_of(first) if isinstance(first, keras.Sequential) else first


def by_fit(model, x):
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, np.ones_like(x), batch_size=2, verbose=0)


def by_loop(model, x):
    optimizer = keras.optimizers.SGD(0.1)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - 1))
        values = [v.value for v in model.trainable_variables]
        optimizer.apply(tape.gradient(loss, values), model.trainable_variables)

    for _ in range(2):
        step()


def by_stateless_calls(model, x):
    state = [v.value for v in model.non_trainable_variables]
    trainable = [v.value for v in model.trainable_variables]
    for _ in range(2):
        _, state = model.stateless_call(trainable, state, x, training=True)
    for variable, value in zip(model.non_trainable_variables, state, strict=True):
        variable.assign(value)


@pytest.mark.parametrize(
    "freeze, train",
    [
        (frozen_layer, by_fit),
        (frozen_model, by_fit),
        (frozen_layer, by_loop),
        (frozen_by_constructor, by_loop),
        (frozen_by_constructor, by_stateless_calls),
        (frozen_model, by_stateless_calls),
    ],
)
@each_twin
def test_frozen_means_inference_and_no_updates(name, freeze, train):
    row, x = TWINS[name], random_batch(SHAPE)
    for make in (row.make, row.keras) if row.same else (row.make,):
        model = freeze(make)
        layer = norm_of(model)
        before, inference = state_of(layer), layer(x, training=False)
        assert layer.trainable_variables == []
        train(model, x)
        for value, then in zip(state_of(layer), before, strict=True):
            np.testing.assert_array_equal(value, then)
        np.testing.assert_array_equal(layer(x, training=True), inference)
        np.testing.assert_array_equal(layer(x, training=False), inference)


@pytest.mark.parametrize("train", [by_fit, by_loop])
@with_modes
def test_unfrozen_it_trains_again(name, train):
    model, x = frozen_layer(TWINS[name].make), random_batch(SHAPE)
    layer = model.layers[0]
    train(model, x)
    before = state_of(layer)
    layer.trainable = True
    train(model, x)
    for value, then in zip(state_of(layer), before, strict=True):
        assert not np.array_equal(value, then)
    assert error(layer(x, training=True), layer(x, training=False)) > 0.1


def test_a_frozen_weight_norm_still_normalises_its_kernel():
    x, layer = random_batch(SHAPE), TWINS["WeightNorm"].make()
    layer(x)
    layer.g.assign(np.arange(1, 7))
    layer.layer.kernel.assign(3 * layer.layer.kernel)
    outputs = layer(x)
    for part in (layer.layer, layer):
        part.trainable = False
        np.testing.assert_array_equal(layer(x), outputs)


@each_twin
def test_a_mask_is_passed_on(name):
    """Without a warning: those are errors in tests."""
    inputs = keras.Input(SHAPE[1:])
    x = random_batch(SHAPE)
    x[:, 2:] = 0
    outputs = TWINS[name].make()(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, outputs)
    for training in (True, False):
        mask = model(x, training=training)._keras_mask
        np.testing.assert_array_equal(mask, np.arange(4) < 2 + np.zeros((6, 1)))


def test_weight_norm_passes_masks_on_as_the_wrapped_layer_does():
    for layer in (keras.layers.Dense(3), keras.layers.Conv1D(3, 1)):
        assert WeightNorm(layer).supports_masking == layer.supports_masking


POLICIES = ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float32", "float64"]


@pytest.mark.parametrize("policy", POLICIES)
@each_twin
def test_types_are_those_of_the_twin(name, policy):
    row, x = TWINS[name], random_batch(SHAPE)
    ours, theirs = row.make(dtype=policy), row.keras(dtype=policy)
    for inputs in (x, x.astype("float16"), x.astype("float64")):
        for training in (True, False):
            types = {layer(inputs, training=training).dtype for layer in (ours, theirs)}
            assert types == {tf.as_dtype(ours.compute_dtype)}
    symbolic = ours(keras.Input(SHAPE[1:]))
    assert (symbolic.shape, symbolic.dtype) == ((None, *SHAPE[1:]), ours.compute_dtype)
    assert [v.dtype for v in weights_of(ours)] == [v.dtype for v in weights_of(theirs)]


NORMALISES = [n for n in TWINS if n not in ("CovariateNoise", "WeightNorm")]


@pytest.mark.parametrize("shape", [SHAPE, IMAGE], ids=["sequence", "image"])
@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", NORMALISES)
def test_large_values_do_not_overflow_half_precision(name, policy, shape):
    """float16 ends at 65504. One rounding of the outputs, and of gamma and the like where kept."""
    row = TWINS[name]
    half = "bfloat16" if "bfloat16" in policy else "float16"
    for largest, dtype in ((6e4, half), (1e6, "float32")):
        x = tf.cast(random_batch(shape) * largest / 15, dtype)
        assert np.abs(np.float64(x)).max() > largest / 4
        layer, double = row.make(dtype=policy), row.make(dtype="float64")
        expected = double(tf.cast(x, "float64"), training=True)
        outputs = layer(x, training=True)
        tolerance = 2.0**-7 if half == "bfloat16" else 2.0**-10
        assert error(tf.cast(outputs, "float64"), expected) < tolerance
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.sin(tf.cast(layer(x, training=True), "float32")))
        assert np.isfinite(np.float32(tape.gradient(loss, x))).all()


@each_twin
def test_the_global_seed_repeats_random_choices(name):
    row, x = TWINS[name], random_batch(SHAPE)
    random = {
        argument: "random_normal"
        for argument in ("gamma_initializer", "beta_initializer", "kernel_initializer")
        if argument in row.options
    }

    def outputs(seed):
        keras.utils.set_random_seed(seed)
        return row.make(**random)(x, training=True)

    np.testing.assert_array_equal(outputs(0), outputs(0))
    if random or name == "CovariateNoise":
        assert error(outputs(1), outputs(0)) > 1e-3


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory):
    """A folder with a model for each layer, and what they should predict."""
    folder, x, expected = tmp_path_factory.mktemp("models"), random_batch(SHAPE), {}
    for name, row in TWINS.items():
        model = keras.Sequential([keras.Input(SHAPE[1:]), row.make(), dense()])
        model(x, training=True)
        model.save(folder / f"{name}.keras")
        expected[name] = model(x).numpy()
    np.savez(folder / "expected.npz", x=x, **expected)
    return folder


OPEN_ALL = """
import keras, numpy as np
expected = np.load("expected.npz")
for name in expected.files[1:]:
    model = keras.saving.load_model(name + ".keras")
    np.testing.assert_array_equal(model(expected["x"]), expected[name])
print(*expected.files[1:], sep=",")
"""


@pytest.mark.parametrize("part", ["bnkit.probes", "bnkit.models", "bnkit.layers.RMSNorm"])
def test_saved_models_open_in_a_new_process(part, saved_models):
    package, _, name = part.rpartition(".")
    program = f"from {package} import {name}\n{OPEN_ALL}"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=saved_models,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip().split(",") == list(TWINS)
