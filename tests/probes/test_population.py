"""Statistics of training batches at the weights of the moment, against NumPy."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit.layers import BatchNorm, LpNorm, NoisyBatchNorm
from bnkit.probes.population import momenta, population_state

EPSILON = 1e-5
NORMS = {
    "keras": lambda **options: keras.layers.BatchNormalization(epsilon=EPSILON, **options),
    "bn": lambda **options: BatchNorm(epsilon=EPSILON, **options),
    "l1": lambda **options: LpNorm(1, epsilon=EPSILON, **options),
    "linf": lambda **options: LpNorm("inf", epsilon=EPSILON, **options),
}


def normalized(name, x, gamma, beta):
    """`(outputs, mean, spread)` in training mode, by NumPy."""
    if name in ("keras", "bn"):
        result = reference.batch_norm(x, gamma, beta, EPSILON)
        return result.outputs, result.mean, result.variance
    result = reference.lp_norm(x, {"l1": 1, "linf": "inf"}[name], gamma, beta, EPSILON)
    return result.outputs, result.mean, result.size


def network(norm, *middle, **options):
    """Dense, norm, what is asked for, dense, norm: with weights and state of no special value."""
    first, second = norm(**options), norm(**options)
    dense = [keras.layers.Dense(units) for units in (4, 2)]
    model = keras.Sequential([keras.Input((3,)), dense[0], first, *middle, dense[1], second])
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(1 + rng.random(variable.shape))
    return model


def inputs(batches=3, samples=8):
    return (5 + 2 * np.random.default_rng(0).normal(size=(batches, samples, 3))).astype("float32")


def trained_on(x):
    """The forms in which batches may come."""
    return {
        "array": x,
        "tensor": tf.constant(x),
        "list": list(x),
        "generator": (batch for batch in x),
    }


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("form", ["array", "tensor", "list", "generator", "graph"])
def test_each_statistic_is_the_average_of_those_of_the_batches(name, form):
    model, x = network(NORMS[name], momentum=0.99), inputs()
    if form == "graph":
        measure = tf.function(lambda x: population_state(model, x), autograph=False)
        actual = measure(tf.constant(x))
    else:
        actual = population_state(model, trained_on(x)[form])

    w1, b1, gamma1, beta1, w2, b2, gamma2, beta2 = (
        v.numpy().astype("float64") for v in model.trainable_variables
    )
    expected = []
    for batch in x.astype("float64"):
        outputs, *first = normalized(name, batch @ w1 + b1, gamma1, beta1)
        _, *second = normalized(name, outputs @ w2 + b2, gamma2, beta2)
        expected.append([*first, *second])
    for got, *want in zip(actual, *expected, strict=True):
        # float32 holds 0.99 to a relative 3e-6 of what it lacks to 1.
        assert error(got, np.mean(want, 0)) < 2e-5


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("name", ["keras", "bn", "linf"])
def test_the_momentum_of_every_layer_is_found(name, momentum):
    model = network(NORMS[name], keras.layers.Dropout(0.5, seed=1), momentum=momentum)
    state = model.non_trainable_variables
    found = momenta(model, inputs()[0])
    assert [state[p].path.split("/")[-1].split("_")[0] for p in found] == ["moving"] * 4
    np.testing.assert_array_equal(list(found.values()), np.full(4, momentum, "float32"))


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_inference_with_the_statistics_of_one_batch_is_training_mode(name, momentum):
    model, x = network(NORMS[name], momentum=momentum), inputs()[0]
    state = population_state(model, [x])
    weights = [v.value for v in model.trainable_variables]
    actual, _ = model.stateless_call(weights, state, x, training=False)
    assert error(model(x, training=False), actual) > 0.01
    assert error(actual, model(x, training=True)) < 1e-5


@pytest.mark.parametrize("name", ["keras", "bn"])
def test_what_the_moving_statistics_were_does_not_matter(name):
    """Not even where they are so large that float32 could not subtract them again."""
    model, x = network(NORMS[name], momentum=0.99), inputs()
    expected = population_state(model, x)
    state = [1e8 + v.numpy() for v in model.non_trainable_variables]
    for got, want in zip(population_state(model, x, state=state), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_at_given_weights():
    model, other, x = network(NORMS["bn"]), network(NORMS["bn"]), inputs()
    moved = [v.numpy() + 0.5 * np.arange(v.shape[0])[0] + 0.1 for v in model.trainable_variables]
    for variable, value in zip(other.trainable_variables, moved, strict=True):
        variable.assign(value)
    expected = population_state(other, x)
    actual = population_state(model, x, weights=moved)
    for got, want, old in zip(actual, expected, population_state(model, x), strict=True):
        np.testing.assert_array_equal(got, want)
        assert np.any(got != old)


@pytest.mark.parametrize(
    "noisy",
    [
        lambda: network(NORMS["bn"], keras.layers.Dropout(0.5, seed=1)),
        lambda: network(lambda: NoisyBatchNorm(seed=1)),
    ],
    ids=["dropout", "noisy_bn"],
)
def test_random_layers_draw_from_the_given_state_for_every_batch(noisy):
    model, x = noisy(), inputs()
    state = [v.numpy() for v in model.non_trainable_variables]
    once, thrice = (population_state(model, x[[0] * times], state=state) for times in (1, 3))
    other = [v + 1 if v.dtype != "float32" else v for v in state]
    elsewhere = population_state(model, x[:1], state=other)
    is_seed = [v.dtype != "float32" for v in state]
    assert any(is_seed)
    for one, three, given, seed in zip(once, thrice, state, is_seed, strict=True):
        if seed:
            np.testing.assert_array_equal(one, given)
            np.testing.assert_array_equal(three, given)
        else:
            np.testing.assert_allclose(one, three, rtol=1e-6)
    assert any(np.any(a != b) for a, b, s in zip(once, elsewhere, is_seed, strict=True) if not s)


class Counting(keras.layers.Layer):
    """State of other kinds, and a moving average written as `moving -= (moving - mean) / 4`."""

    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")
        self.whole = self.add_weight(
            shape=(), initializer="zeros", trainable=False, dtype="int32", name="whole"
        )
        self.sums = self.add_weight(
            shape=input_shape[-1:], initializer="zeros", trainable=False, name="sums"
        )
        self.unequal = self.add_weight(
            shape=(2,), initializer="ones", trainable=False, name="unequal"
        )
        self.moving = self.add_weight(
            shape=input_shape[-1:], initializer="ones", trainable=False, name="moving"
        )

    def call(self, inputs, training=False):
        if training:
            self.calls.assign_add(1.0)
            self.whole.assign_add(1)
            self.sums.assign_add(keras.ops.sum(inputs, 0))
            self.unequal.assign(self.unequal * [0.5, 0.25])
            self.moving.assign_sub((self.moving - keras.ops.mean(inputs, 0)) / 4)
        return inputs


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_all_other_state_stays_as_it_is(in_graph):
    """Also what is frozen, on which the statistics depend."""
    scaled = keras.layers.Normalization(mean=[5.0, 4.0, 3.0], variance=[4.0, 2.0, 1.0])
    dense = keras.layers.Dense(3, trainable=False)
    norm = keras.layers.BatchNormalization(trainable=False, epsilon=EPSILON)
    counting, last = Counting(), BatchNorm()
    model = keras.Sequential([keras.Input((3,)), scaled, dense, norm, counting, last])
    x = inputs()
    if in_graph:
        actual = tf.function(lambda x: population_state(model, x), autograph=False)(tf.constant(x))
    else:
        actual = population_state(model, x)
    kernel, bias = dense.get_weights()
    reached = ((x - [5, 4, 3]) / np.sqrt([4, 2, 1]) @ kernel + bias) / np.sqrt(1 + EPSILON)
    mean, variance = reached.mean((0, 1)), reached.var(1).mean(0)
    moving = {
        id(counting.moving): mean,
        id(last.moving_mean): mean,
        id(last.moving_variance): variance,
    }
    variables = model.non_trainable_variables
    assert len(variables) > len(moving) + 8
    for got, variable in zip(actual, variables, strict=True):
        if id(variable) in moving:
            assert error(got, moving[id(variable)]) < 1e-5
        else:
            np.testing.assert_array_equal(got, variable.numpy())


def test_a_model_without_moving_statistics_keeps_its_state():
    model = network(lambda: keras.layers.Dropout(0.5, seed=1))
    assert momenta(model, inputs()[0]) == {}
    for got, variable in zip(
        population_state(model, inputs()), model.non_trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(got, variable.numpy())


def test_half_precision_has_statistics_in_float32():
    single, x = network(NORMS["bn"]), inputs()
    keras.config.set_dtype_policy("mixed_bfloat16")
    for name in ("keras", "bn"):
        model = network(NORMS[name])
        model.set_weights(single.get_weights())
        for got, want in zip(population_state(model, x), population_state(single, x), strict=True):
            assert got.dtype == tf.float32
            assert error(got, want) < 0.05


@pytest.mark.parametrize("synchronized", [False, True])
def test_on_replicas_it_is_the_average_over_them(synchronized, two_replicas, on_two_replicas):
    """Of the shares of each batch; where synchronised, of the global batches."""
    x = inputs(batches=2)
    x[:, 4:] = 2 * x[:, 4:] + 1
    one_norm = [keras.Input((3,)), BatchNorm(synchronized=synchronized)]
    with two_replicas.scope():
        model = keras.Sequential(one_norm)
    # `on_two_replicas` halves the first axis: the samples.
    results = on_two_replicas(
        lambda x: population_state(model, tf.transpose(x, (1, 0, 2))), np.swapaxes(x, 0, 1)
    )
    parts = x.astype("float64") if synchronized else x.astype("float64").reshape(4, 4, 3)
    for result in results:
        assert error(result[0], parts.mean(1).mean(0)) < 1e-5
        assert error(result[1], parts.var(1).mean(0)) < 1e-5
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_variable_stays_bit_identical(in_graph, variables_of_a_trained_model):
    model, (x, _), snapshot = variables_of_a_trained_model
    before = snapshot()

    def measure(x):
        return population_state(model, x)

    (tf.function(measure, autograph=False) if in_graph else measure)(tf.constant(x[np.newaxis]))
    assert snapshot() == before


@pytest.mark.parametrize(
    "batches, options, message",
    [
        ([], {}, "`batches` must hold at least one batch. Received: none"),
        (inputs(), {"state": [np.ones(3)]}, r"`state`.*Received: \[\(3,\)\], expected: \[\(4,\)"),
        (inputs(), {"weights": [np.ones(3)]}, r"`weights`.*Received: \[\(3,\)\]"),
    ],
)
def test_batches_and_values_that_do_not_fit(batches, options, message):
    with pytest.raises(ValueError, match=message):
        population_state(network(NORMS["bn"]), batches, **options)


def test_an_unbuilt_model_is_an_error():
    with pytest.raises(ValueError, match="has no weights yet"):
        population_state(keras.Sequential([BatchNorm()]), inputs())


def test_momenta_that_are_known_are_not_measured_again():
    """Those of another layer give what they would: the average of `batch * 0.1 / (1 - m)`."""
    model, x = network(NORMS["bn"], momentum=0.9), inputs()
    known = momenta(model, x[0][:2])
    expected = population_state(model, x)
    for got, want in zip(population_state(model, x, known=known), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    others = {position: tf.constant(0.5) for position in known}
    for got, want in zip(population_state(model, x, known=others), expected, strict=True):
        np.testing.assert_allclose(got, 0.2 * np.array(want), rtol=1e-4)
