"""Distributions and signal propagation against NumPy, known ranks, and the global batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import error

from bnkit import models
from bnkit.layers import BatchNorm
from bnkit.probes.activations import EDGES, QUANTILE_LEVELS, RANK_TOLERANCE, activations

LABELS = None  # no probe of activations looks at them


def identity(units, *layers):
    """A network whose first non-linearity gets the batch itself."""
    dense = keras.layers.Dense(
        units, use_bias=False, kernel_initializer="identity", name="identity"
    )
    return keras.Sequential([keras.Input((units,)), dense, *layers])


def rows(samples=40, units=5, seed=0):
    """Units of different means and deviations."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, units)) * np.arange(1, units + 1) + 10 * rng.normal(size=units)
    return x.astype("float32")


def tensors(measured):
    """All numbers of an `Activations`, the outer ones first."""
    return [*measured[2:6], *measured.signal[1:]]


def assert_equal(measured, expected, tolerance):
    assert measured[:2] == expected[:2]
    assert measured.signal.layers == expected.signal.layers
    for got, want in zip(tensors(measured), tensors(expected), strict=True):
        assert error(got, want) < tolerance


def test_moments_quantiles_and_histogram_of_known_values():
    x = rows()
    measured = activations(identity(5), (x, LABELS), units=5)
    x = x.astype("float64")
    assert measured.layers == ("identity",) * 5
    assert measured.units == (0, 1, 2, 3, 4)
    assert error(measured.mean, x.mean(0)) < 1e-12
    assert error(measured.variance, x.var(0)) < 1e-12
    assert error(measured.quantiles, np.quantile(x, QUANTILE_LEVELS, axis=0).T) < 1e-12
    histograms = [np.histogram(column, EDGES)[0] for column in x.T]
    np.testing.assert_array_equal(measured.histogram, histograms)
    assert {t.dtype for t in tensors(measured)} == {tf.float64, tf.int64}


def test_signal_propagation_of_known_values():
    x = rows()
    signal = activations(identity(5), (x, LABELS), units=1).signal
    x = x.astype("float64")
    m = x.T @ x / len(x)
    assert signal.layers == ("identity",)
    assert error(signal.squared_mean, [np.mean(x.mean(0) ** 2)]) < 1e-12
    assert error(signal.variance, [np.mean(x.var(0))]) < 1e-12
    assert error(signal.effective_rank, [np.trace(m) ** 2 / np.linalg.norm(m) ** 2]) < 1e-12
    np.testing.assert_array_equal(signal.rank, [np.linalg.matrix_rank(x)])


def of_singular_values(values, samples=20):
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.normal(size=(samples, len(values))))[0]
    right = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    return (left * values @ right).astype("float32")


@pytest.mark.parametrize(
    "values, rank, effective",
    [
        ([1, 1, 1, 1, 1], 5, 5.0),
        ([3, 3, 0, 0, 0], 2, 2.0),
        ([2, 0, 0, 0, 0], 1, 1.0),
        ([2, 1, 0, 0, 0], 2, 25 / 17),  # squares 4 and 1: 5^2 / (16 + 1)
        ([1, 2 * RANK_TOLERANCE, RANK_TOLERANCE / 2, 0, 0], 2, 1.0),
        ([0, 0, 0, 0, 0], 0, 0.0),
    ],
)
def test_ranks_of_known_matrices(values, rank, effective):
    x = of_singular_values(np.array(values, "float64"))
    signal = activations(identity(5), (x, LABELS)).signal
    np.testing.assert_array_equal(signal.rank, [rank])
    np.testing.assert_allclose(signal.effective_rank, [effective], rtol=1e-4)
    assert signal.effective_rank[0] <= rank + 1e-6


def test_a_deep_linear_network_loses_rank_and_batch_norm_keeps_it():
    """Daneshmand et al. 2020: without, the rank collapses with depth."""
    x = np.random.default_rng(0).normal(size=(64, 10)).astype("float32")
    ranks = {
        norm: activations(models.deep_linear(norm, depth=12, seed=0), (x, LABELS)).signal
        for norm in ("none", "bn")
    }
    last = {norm: float(signal.effective_rank[-2]) for norm, signal in ranks.items()}
    assert last["none"] < 2 < last["bn"]


def test_the_grid_of_the_histogram():
    """About 0.1 wide at zero, an edge there, up to a million, the same on both sides."""
    widths = np.diff(EDGES)
    middle = len(EDGES) // 2
    assert EDGES[middle] == 0
    assert 0.09 < widths[middle] < 0.11
    assert (np.diff(widths[middle:]) > 0).all()
    np.testing.assert_allclose(EDGES, -EDGES[::-1])
    assert 0.9e6 < EDGES[-1] < 1.1e6


def test_values_on_an_edge_beyond_the_grid_and_not_numbers():
    edge = np.float32(0)
    x = np.array([[edge, -1e30, np.inf, 1e9, np.nan, -np.inf]]).T.astype("float32")
    measured = activations(identity(1), (x, LABELS))
    histogram = measured.histogram.numpy()[0]
    expected = np.zeros(len(EDGES) - 1, int)
    expected[[0, -1, len(EDGES) // 2]] = [2, 2, 1]
    np.testing.assert_array_equal(histogram, expected)
    assert np.isnan(measured.quantiles).all()
    assert np.isnan(measured.mean).all()
    assert np.isnan(measured.signal.rank).all()


def test_a_single_sample_is_all_quantiles():
    measured = activations(identity(2), (np.array([[1.5, -2.0]], "float32"), LABELS))
    np.testing.assert_array_equal(measured.quantiles, [[1.5] * 7, [-2.0] * 7])
    np.testing.assert_array_equal(measured.variance, [0.0, 0.0])


def convolutional(**options):
    """The second with an activation of its own, and two units only."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            keras.layers.Conv2D(8, 3, name="a"),
            BatchNorm(name="norm", **options),
            keras.layers.ReLU(),
            keras.layers.Conv2D(2, 1, activation="relu", name="b"),
            keras.layers.Flatten(),
            keras.layers.Dense(6, name="c"),
        ]
    )


def images(samples=8):
    x = np.random.default_rng(0).normal(size=(samples, 4, 4, 2)).astype("float32")
    x[samples // 2 :] = 2 * x[samples // 2 :] + 1
    return x


def test_height_and_width_count_as_samples_and_statistics_are_of_the_batch():
    """Moving averages, here far off, do not matter."""
    model, x = convolutional(), images()
    model.get_layer("norm").moving_mean.assign(tf.fill([8], 100.0))
    measured = activations(model, (x, LABELS))
    assert measured.layers == ("a",) * 3 + ("b",) * 2 + ("c",) * 3
    assert measured.signal.layers == ("a", "b", "c")
    np.testing.assert_array_equal(tf.reduce_sum(measured.histogram, 1), [32] * 5 + [8] * 3)
    np.testing.assert_allclose(measured.mean[:3], np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(measured.variance[:3], np.ones(3), rtol=1e-3)
    # By other means: the layers' symbolic tensors, in NumPy.
    b = model.get_layer("b")
    part = keras.Model(model.inputs[0], model.layers[2].output)
    before = part.stateless_call(
        part.trainable_variables, part.non_trainable_variables, x, training=True
    )[0].numpy()
    linear = before.reshape(-1, 8) @ b.kernel.numpy()[0, 0] + b.bias.numpy()
    assert error(measured.mean[3:5], linear.mean(0)) < 1e-5
    assert error(measured.variance[3:5], linear.var(0)) < 1e-5
    assert error(measured.signal.variance[1], linear.var(0).mean()) < 1e-5


def test_units_follow_from_the_seed_and_the_position_alone():
    model, batch = models.deep_linear("none", depth=4, dim=30), (rows(units=30), LABELS)
    first = activations(model, batch, units=4, seed=1)
    again = activations(models.deep_linear("bn", depth=4, dim=30), batch, units=4, seed=1)
    other = activations(model, batch, units=4, seed=2)
    assert first.units == again.units
    assert first.units != other.units
    by_layer = np.reshape(first.units, (4, 4))
    assert all(len(set(units)) == 4 for units in by_layer)
    assert len({tuple(units) for units in by_layer}) == 4
    assert (np.diff(by_layer) > 0).all()
    assert {type(unit) for unit in first.units} == {int}


def test_the_values_are_those_of_the_units_named():
    x = rows(units=9)
    measured = activations(identity(9), (x, LABELS), units=3, seed=5)
    assert error(measured.mean, x.astype("float64").mean(0)[list(measured.units)]) < 1e-12
    assert error(measured.quantiles[:, 3], np.median(x, 0)[list(measured.units)]) < 1e-6


def test_in_a_graph():
    model, x = convolutional(), images()
    expected = activations(model, (x, LABELS))
    measure = tf.function(lambda x: tensors(activations(model, (x, LABELS))), autograph=False)
    for got, want in zip(measure(x), tensors(expected), strict=True):
        assert error(got, want) < 1e-5


def test_at_given_weights_and_state():
    model, other, x = convolutional(), convolutional(), images()
    weights = [v.numpy() for v in model.trainable_variables]
    state = [v.numpy() for v in model.non_trainable_variables]
    measured = activations(other, (x, LABELS), weights=weights, state=state)
    assert_equal(measured, activations(model, (x, LABELS)), 1e-9)
    with pytest.raises(ValueError, match="`weights` must have the shapes"):
        activations(model, (x, LABELS), weights=weights[1:])
    with pytest.raises(ValueError, match="`state` must have the shapes"):
        activations(model, (x, LABELS), state=state[1:])


def test_on_replicas_it_is_that_of_the_global_batch(two_replicas, on_two_replicas):
    x = images()
    single = convolutional()
    expected = activations(single, (x, LABELS))
    with two_replicas.scope():
        model = convolutional(synchronized=True)
    model.set_weights(single.get_weights())
    results = on_two_replicas(lambda x: tensors(activations(model, (x, LABELS))), x)
    for result in results:
        for got, want in zip(result, tensors(expected), strict=True):
            assert error(got, want) < 1e-5
    for got, want in zip(*results, strict=True):
        np.testing.assert_array_equal(got, want)
    assert all("call" not in vars(layer) for layer in model.layers)


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_variable_stays_bit_identical(in_graph, variables_of_a_trained_model):
    model, batch, snapshot = variables_of_a_trained_model
    before = snapshot()

    def measure(x):
        return tensors(activations(model, (x, LABELS)))

    (tf.function(measure, autograph=False) if in_graph else measure)(tf.constant(batch[0]))
    assert snapshot() == before


def test_mixed_precision_is_close_to_single():
    single, x = convolutional(), images()
    expected = activations(single, (x, LABELS))
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = convolutional()
    model.set_weights(single.get_weights())
    measured = activations(model, (x, LABELS))
    assert model.layers[0].compute_dtype == "bfloat16"
    assert measured[:2] == expected[:2]
    for name in ("mean", "variance", "quantiles"):
        assert error(getattr(measured, name), getattr(expected, name)) < 0.05, name
    for name in ("squared_mean", "variance", "effective_rank"):
        assert error(getattr(measured.signal, name), getattr(expected.signal, name)) < 0.05, name


def test_arguments_that_are_not_valid():
    batch = (rows(), LABELS)
    with pytest.raises(ValueError, match=r"`units` must be >= 1. Received: units=0"):
        activations(identity(5), batch, units=0)
    with pytest.raises(ValueError, match=r"no weights yet.*unbuilt model 'bare'"):
        activations(keras.Sequential([keras.layers.Dense(3)], name="bare"), batch)
    with pytest.raises(ValueError, match="no layer with a trainable matrix"):
        activations(keras.Sequential([keras.Input((5,)), keras.layers.ReLU()]), batch)


def padded(samples=6, steps=5, features=3):
    """Sequences of 1 and more steps, and a mask; the padding is 0."""
    x = np.random.default_rng(3).normal(2, 1, (samples, steps, features)).astype("float32")
    mask = np.arange(steps) < np.linspace(1, steps, samples).astype(int)[:, None]
    return x * mask[..., None], mask


def of_sequences(activation="tanh"):
    """A network of steps, with the non-linearity in the layer, or else in one of its own."""
    inputs = keras.Input((5, 3))
    x = keras.layers.Masking()(inputs)
    x = keras.layers.Dense(4, activation, name="steps")(x)
    x = x if activation else keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))


@pytest.mark.parametrize("in_graph", [True, False], ids=["graph", "eager"])
@pytest.mark.parametrize("activation", [None, "tanh"])
def test_padded_positions_do_not_count(activation, in_graph):
    """The mask is that of the output: the input of the activation has none of its own."""
    x, mask = padded()
    model = of_sequences(activation)
    wrap = tf.function if in_graph else lambda function, **options: function
    measured = wrap(lambda: activations(model, (x, LABELS), units=4), autograph=False)()
    dense = model.get_layer("steps")
    y = x[mask].astype("float64") @ dense.kernel.numpy().astype("float64")
    assert error(measured.mean[:4], y.mean(0)) < 1e-6
    assert error(measured.variance[:4], y.var(0)) < 1e-6
    assert error(measured.quantiles[:4], np.quantile(y, QUANTILE_LEVELS, axis=0).T) < 1e-6
    assert np.sum(measured.histogram, 1).tolist() == [mask.sum()] * 4 + [len(x)] * 2
    assert error(measured.signal.squared_mean[0], np.mean(y.mean(0) ** 2)) < 1e-6
    # With the padding it would be another one.
    assert error(measured.mean[:4], (x @ dense.kernel.numpy()).mean((0, 1))) > 0.1


def test_where_all_is_padding_there_is_nothing_to_measure():
    measured = activations(of_sequences(), (np.zeros((2, 5, 3), "float32"), LABELS), units=1)
    for values in (measured.mean, measured.variance, measured.quantiles, *measured.signal[1:]):
        assert np.isnan(values[0]).all()
    assert not np.any(measured.histogram[0])


def test_padded_positions_do_not_count_on_replicas_either(on_two_replicas):
    """Each of which has another number of positions that count."""
    x, _ = padded()
    model = of_sequences()
    expected = activations(model, (x, LABELS), units=4)
    for replica in on_two_replicas(lambda x: tensors(activations(model, (x, LABELS), units=4)), x):
        for got, want in zip(replica, tensors(expected), strict=True):
            assert error(got, want) < 1e-5


def test_a_mask_that_does_not_fit_its_tensor_is_none():
    """A layer that halves the steps and hands the mask on as it was."""

    class Halved(keras.layers.Layer):
        supports_masking = True

        def call(self, x):
            return x[:, ::2]

    x, _ = padded()
    inputs = keras.Input((5, 3))
    y = keras.layers.Dense(4, name="steps")(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, Halved()(y))
    measured = activations(model, (x, LABELS), units=4)
    assert np.sum(measured.histogram, 1).tolist() == [6 * 3] * 4
