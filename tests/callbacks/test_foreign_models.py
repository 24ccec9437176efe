"""Every probe on models that nobody here wrote, against a plain tape, in float64."""

import functools

import foreign_models
import keras
import numpy as np
import plain_tape
import pytest
import tensorflow as tf

from bnkit import callbacks

NAMES = tuple(foreign_models.MODELS)
STEP_SIZES = [0.01, 0.05]
PRODUCTS = 3
# Of the probe -> what it takes beside the batch.
OPTIONS = {
    "landscape": {"step_sizes": STEP_SIZES},
    "random_landscape": {"step_sizes": STEP_SIZES, "seed": 5},
    "ics": {},
    "activations": {"units": 2},
    "curvature": {"products": PRODUCTS},
    "gradient_noise": {"batches": 2},
    "weights": {},
    "batch_norm_identity": {},
}


class Trained:
    """One of the models after three steps of `fit`, with what all probes and a plain eye saw."""

    def __init__(self, name):
        with foreign_models.in_float64():
            keras.utils.set_random_seed(11)
            self.foreign = foreign_models.MODELS[name]()
            self.model, self.batch = self.foreign.model, self.foreign.batch
            self.watch = plain_tape.Watch()
            self.probes = {
                kind: probe(batch=self.batch, every=2, loss=self.foreign.own_loss, **OPTIONS[kind])
                for kind, probe in callbacks.PROBES.items()
                if probe.applies_to(self.model)
            }
            self.fit([self.watch, *self.probes.values()])
        self.names, self.layers = _layers(self.model, self.foreign.elsewhere)

    def fit(self, watchers):
        x, y, *weight = self.batch
        # Of sample weights handed to `fit` itself no probe can see anything.
        weight = dict(zip(["sample_weight"], weight, strict=False))
        options = {"batch_size": len(y), "epochs": 3, "shuffle": False, "verbose": 0}
        self.model.fit(x, y, callbacks=watchers, **weight, **options)

    def records(self, kind):
        found = self.probes[kind].records
        assert {record["step"] for record in found} == {0, 2}
        return found

    @functools.cached_property
    def _plain(self):
        return self.plain_of(self.batch, in_graph=True)

    def plain_of(self, batch, in_graph=False):
        tensors = tf.nest.map_structure(tf.constant, batch)
        state = self.watch.steps[0][1]
        loss = self.foreign.loss
        return plain_tape.Plain(self.model, lambda m: loss(m, *tensors), state, in_graph)

    def steps(self, kind):
        """`(record, plain, weights, following)` of each record of a kind."""
        for record in self.records(kind):
            weights, state, following = self.watch.steps[record["step"]]
            yield record, self._plain.at_state(state), weights, following


def _layers(model, elsewhere):
    """Names of the weight layers, and the positions of what belongs to each.

    By the variables' paths: the first matrix or kernel of a path opens a layer.
    """
    paths, layers = [], []
    for position, variable in enumerate(model.trainable_variables):
        path = variable.path.rpartition("/")[0]
        if len(variable.shape) >= 2 and path not in paths:
            paths.append(path)
            layers.append([])
        follows = elsewhere.get(path, paths[-1])
        layers[[p.endswith(follows) for p in paths].index(True)].append(position)
    last = [path.rpartition("/")[2] for path in paths]
    names = [a if last.count(a) == 1 else path for a, path in zip(last, paths, strict=True)]
    return names, layers


@functools.cache
def trained(name):
    return Trained(name)


def assert_close(record, expected, rtol=1e-6, losses=2e-7):
    """Losses are recorded in float32, all else in float64."""
    in_float32 = ("loss", "losses")
    for those, tolerance in ((True, losses), (False, rtol)):
        some = {name: v for name, v in expected.items() if (name in in_float32) == those}
        plain_tape.assert_records(record, some, tolerance)


def test_every_probe_is_held_against_a_plain_tape():
    assert set(OPTIONS) == set(callbacks.PROBES)
    assert all(f"test_{kind}" in globals() for kind in OPTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_landscape(name):
    for record, plain, weights, _ in trained(name).steps("landscape"):
        assert_close(record, plain_tape.landscape(plain, weights, STEP_SIZES))


@pytest.mark.parametrize("name", NAMES)
def test_random_landscape(name):
    for record, plain, weights, _ in trained(name).steps("random_landscape"):
        expected = plain_tape.random_landscape(plain, weights, STEP_SIZES, 5, record["step"])
        assert_close(record, expected)


@pytest.mark.parametrize("name", NAMES)
def test_ics(name):
    found = trained(name)
    number = found.names.index
    apart = {(number(later), number(earlier)) for earlier, later in found.foreign.beside}
    for record, plain, weights, following in found.steps("ics"):
        assert record["layers"] == found.names
        assert_close(record, plain_tape.ics(plain, weights, following, found.layers, apart))


@pytest.mark.parametrize("name", NAMES)
def test_weights(name):
    found = trained(name)
    # The GAN updates by two optimizers of its own.
    rate = np.nan if name == "gan" else 0.05
    for record, plain, weights, following in found.steps("weights"):
        assert record["layers"] == found.names
        assert_close(record, plain_tape.turning(plain, weights, following, found.layers, rate))


@pytest.mark.parametrize("name", NAMES)
def test_curvature(name):
    rate = np.nan if name == "gan" else 0.05
    for record, plain, weights, _ in trained(name).steps("curvature"):
        expected = plain_tape.krylov(plain, weights, record["products"])
        assert_close(record, expected, rtol=1e-5)
        edge = rate * record["top_eigenvalue"] / 2
        np.testing.assert_allclose(record["edge_of_stability"], edge, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_noise(name):
    found = trained(name)
    half = len(found.batch[1]) // 2
    parts = [
        found.plain_of(tf.nest.map_structure(lambda values, of=of: values[of], found.batch))
        for of in (slice(half), slice(half, None))
    ]
    for record, plain, weights, _ in found.steps("gradient_noise"):
        gradients = [part.at_state(plain.state).gradient(weights) for part in parts]
        assert_close(record, plain_tape.noise(gradients))


@pytest.mark.parametrize("name", NAMES)
def test_activations(name):
    """The moments and quantiles of drawn units, and the signal of all."""
    found = trained(name)
    steps = list(found.steps("activations"))
    assert [record["kind"] for record, *_ in steps] == ["activations", "signal_propagation"] * 2
    for record, plain, weights, _ in steps:
        inputs = plain.at(weights, lambda _: found.foreign.inputs(found.batch[0]))
        for layer, values in inputs.items():
            rows = _rows(values)
            of_layer = [i for i, one in enumerate(record["layers"]) if one == layer]
            ours = {
                key: [value[i] for i in of_layer]
                for key, value in record.items()
                if isinstance(value, list) and len(value) == len(record["layers"])
            }
            if record["kind"] == "activations":
                drawn = [record["units"][i] for i in of_layer]
                assert len(drawn) == min(2, rows.shape[1])
                levels, edges = record["quantile_levels"], record["edges"]
                expected = plain_tape.distribution(rows, drawn, levels, edges)
            else:
                expected = {key: [value] for key, value in plain_tape.signal(rows).items()}
            for key, value in expected.items():
                # A mean may be 0 but for rounding, after a normalisation.
                np.testing.assert_allclose(ours[key], value, 1e-6, 1e-12, err_msg=f"{layer} {key}")


def _rows(values):
    """`[samples, units]` of the positions that a mask leaves."""
    values, mask = values if isinstance(values, tuple) else (values, None)
    values = np.asarray(values)
    return values.reshape(-1, values.shape[-1]) if mask is None else values[mask]


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_identity(name):
    found = trained(name)
    norms, loss = found.foreign.norms, found.foreign.loss
    if not norms:
        assert "batch_norm_identity" not in found.probes
        watcher = callbacks.BatchNormIdentity(batch=found.batch)
        with pytest.raises(ValueError, match="The model has no batch norm that takes the stat"):
            found.fit([watcher])
        return
    batch = tf.nest.map_structure(tf.constant, found.batch)
    for record, plain, weights, _ in found.steps("batch_norm_identity"):
        assert record["layers"] == [norm.name for norm in norms]
        expected = plain_tape.theorem(plain, weights, lambda m: loss(m, *batch), norms)
        assert_close(record, expected)


@pytest.mark.parametrize("kind", callbacks.PROBES)
def test_a_model_with_its_own_train_step_is_refused_for_that_reason(kind):
    found = trained("gan")
    watcher = callbacks.PROBES[kind](batch=found.batch)
    with pytest.raises(ValueError, match=r"GAN has a `train_step` of its own.*as `loss=`"):
        found.fit([watcher])


def test_what_the_model_itself_minimises_is_no_part_of_it():
    """The rate of an optimizer that the model has, and does not use, is recorded nowhere."""
    table = trained("gan").probes["landscape"].frame()
    assert table["lr"].isna().all()
