"""The deep linear network with its sum loss, from the formula to a whole run.

Weights are `P = X W_1 W_2 ... W_k`, the loss `L = ||P - Y||^2 / 2`, so that
`dL/dW_i = (X W_1 ... W_{i-1})' (P - Y) (W_{i+1} ... W_k)'`.
"""

import functools
import json

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

import bnkit
from bnkit import Settings, callbacks, experiment, layers, models
from bnkit.data import Batches, load_gaussian
from bnkit.losses import HalfSquaredError
from bnkit.probes import internal_covariate_shift, landscape
from bnkit.probes.objective import Objective
from bnkit.schedules import At, Every
from bnkit.training import Trainer


def product(matrices, dim):
    return functools.reduce(np.matmul, matrices, np.eye(dim))


def loss_and_gradients(weights, x, y):
    """In float64, from the formula above."""
    weights = [np.asarray(w, np.float64) for w in weights]
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    dim = x.shape[1]
    residual = x @ product(weights, dim) - y
    gradients = [
        (x @ product(weights[:i], dim)).T @ residual @ product(weights[i + 1 :], dim).T
        for i in range(len(weights))
    ]
    return 0.5 * (residual**2).sum(), gradients


def batch_of(samples=24, dim=4, seed=0):
    train = load_gaussian(samples, dim, seed).train
    return train.x, train.y


def values_of(model):
    return [v.numpy() for v in model.trainable_variables]


def dln_trainer(norm="none", *, depth=3, dim=4, lr=1e-3, seed=1, strategy=None, optimizer=None):
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        factory = layers.synchronized(layers.get(norm))
        model = models.deep_linear(factory, depth, dim, seed=seed)
        optimizer = optimizer() if optimizer else keras.optimizers.SGD(lr)
    return Trainer(model, optimizer, HalfSquaredError(), strategy=strategy)


def full_batches(samples=24, dim=4, seed=0):
    split = load_gaussian(samples, dim, seed).train
    return Batches(split, samples, seed=seed)


class Values(callbacks.Callback):
    """The training loss of every step; due at the steps of a schedule."""

    def __init__(self, when=None):
        super().__init__(when)
        self.losses = []

    def on_steps_end(self, first, values):
        self.losses += values["loss"].tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_and_all_gradients_at_initialisation(seed):
    """The study's network. 25 products in float32: 1e-5 of the largest gradient entry."""
    x, y = batch_of(1000, 10, seed)
    model = models.deep_linear("none", seed=seed)
    weights = values_of(model)
    assert [w.shape for w in weights] == [(10, 10)] * 25
    expected, gradients = loss_and_gradients(weights, x, y)
    objective = Objective(model, HalfSquaredError(), (x, y))
    loss, actual = objective.loss_and_gradient(objective.weights)
    assert error(loss, expected) < 1e-5
    for got, want in zip(actual, gradients, strict=True):
        assert error(got, want) < 1e-5
    # Where Fig 5b starts: half the sum of 1000 x 10 squares of sums of ten products.
    assert 3.5e4 < expected < 7e4


def test_the_first_update_is_that_of_gradient_descent():
    """Through the trainer, at a learning rate of 1: the weights lose the very gradient."""
    trainer, log = dln_trainer(depth=5, dim=10, lr=1.0), Values()
    batches = full_batches(100, 10)
    start = values_of(trainer.model)
    loss, gradients = loss_and_gradients(start, *batch_of(100, 10))
    trainer.fit(batches, 1, [log])
    assert error(log.losses[0], loss) < 1e-5
    for before, after, gradient in zip(start, values_of(trainer.model), gradients, strict=True):
        assert error(before - after, gradient) < 1e-5


@pytest.mark.parametrize("norm_last", [False, True])
def test_loss_and_all_gradients_with_batch_normalisation(norm_last):
    """Against central differences of the loss in float64; the deviation is that of float32."""
    x, y = batch_of(20, 3)
    model = models.deep_linear("bn", 4, 3, norm_last=norm_last, seed=0)
    rng = np.random.default_rng(0)
    norms = [layer for layer in model.layers if layer.name.startswith("norm")]
    assert len(norms) == 3 + norm_last
    for layer in norms:
        layer.gamma.assign(rng.uniform(0.5, 1.5, 3))
        layer.beta.assign(rng.normal(size=3))
    epsilon = norms[0].epsilon
    shapes = [v.shape for v in model.trainable_variables]
    paths = [v.path for v in model.trainable_variables]
    flat = np.concatenate([v.ravel() for v in values_of(model)]).astype(np.float64)
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]

    def unpack(entries):
        parts = np.split(entries, ends)
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def loss_of(entries):
        values = dict(zip(paths, unpack(entries), strict=True))
        out = x.astype(np.float64)
        for i in range(1, 5):
            out = out @ values[f"dense{i}/kernel"]
            if i < 4 or norm_last:
                gamma, beta = values[f"norm{i}/gamma"], values[f"norm{i}/beta"]
                out = reference.batch_norm(out, gamma, beta, epsilon).outputs
        return 0.5 * ((out - y) ** 2).sum()

    objective = Objective(model, HalfSquaredError(), (x, y))
    loss, actual = objective.loss_and_gradient(objective.weights)
    assert error(loss, loss_of(flat)) < 1e-5
    expected = np.concatenate(
        [g.ravel() for g in unpack(reference.central_differences(loss_of, flat))]
    )
    flattened = np.concatenate([np.ravel(g) for g in actual])
    assert error(flattened, expected) < 1e-4


def test_the_landscape_of_two_layers_is_the_quartic_in_s():
    """`P(s) = X (A - s G)(B - s H) = P - s P' + s^2 P''`, so that L(s) is a polynomial.

    Steps from where the loss falls to where the quartic term rules; float32 against float64.
    """
    x, y = batch_of(30, 5)
    model = models.deep_linear("none", 2, 5, seed=0)
    a, b = (w.astype(np.float64) for w in values_of(model))
    loss, (g, h) = loss_and_gradients([a, b], x, y)
    residual, first, second = x @ a @ b - y, x @ (g @ b + a @ h), x @ g @ h
    coefficients = [
        (residual**2).sum() / 2,
        -(residual * first).sum(),
        (first**2).sum() / 2 + (residual * second).sum(),
        -(first * second).sum(),
        (second**2).sum() / 2,
    ]
    grid = [1e-4, 1e-3, 1e-2, 0.1]
    losses = np.polynomial.polynomial.polyval(grid, coefficients)
    gradients = [loss_and_gradients([a - s * g, b - s * h], x, y)[1] for s in grid]
    distances = [reference.norm([p - g, q - h]) for p, q in gradients]
    size = reference.norm([g, h])

    actual = landscape(model, HalfSquaredError(), (x, y), grid)

    assert losses[0] < loss and losses[-1] > 100 * loss
    assert error(actual.loss, loss) < 1e-6
    assert error(actual.gradient_norm, size) < 1e-6
    np.testing.assert_allclose(actual.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(actual.gradient_distances, distances, rtol=1e-4)
    ratios = np.divide(distances, grid) / size
    assert error(actual.smoothness, ratios.max()) < 1e-4
    # The slope of the polynomial at 0 is minus the squared norm of the gradient.
    np.testing.assert_allclose(coefficients[1], -(size**2), rtol=1e-12)


def test_covariate_shift_of_three_layers_by_hand():
    """Before layer i: the weights after the update; from layer i on: those before it."""
    x, y = batch_of(30, 4)
    model = models.deep_linear("none", 3, 4, seed=0)
    current = values_of(model)
    _, gradients = loss_and_gradients(current, x, y)
    following = [w - 2e-3 * g for w, g in zip(current, gradients, strict=True)]
    moved = [
        loss_and_gradients([*following[:i], *current[i:]], x, y)[1][i] for i in range(len(current))
    ]
    l2 = [np.linalg.norm(b - a) for a, b in zip(gradients, moved, strict=True)]
    norms = [np.linalg.norm(g) for g in gradients]
    cosines = [
        (a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in zip(gradients, moved, strict=True)
    ]

    def measure(x, y):
        ics = internal_covariate_shift(model, HalfSquaredError(), (x, y), following)
        assert ics.layers == ("dense1", "dense2", "dense3")
        return ics[1:]

    eager = measure(x, y)
    compiled = tf.function(measure, autograph=False)(tf.constant(x), tf.constant(y))
    for actual in (eager, compiled):
        for got, want in zip(actual, (l2, cosines, norms), strict=True):
            assert error(got, want) < 1e-5
        assert actual[0][0] == 0
    assert min(l2[i] / norms[i] for i in (1, 2)) > 0.05
    assert min(cosines) < 0.999


def test_covariate_shift_of_25_layers_is_traced_once():
    """The gradient is one function in the graph, however many layers ask for it."""
    trainer = dln_trainer(depth=25, lr=1e-5)
    watcher = callbacks.InternalCovariateShift(every=2)
    trainer.fit(full_batches(), 5, [watcher])
    assert [record["step"] for record in watcher.records] == [0, 2, 4]
    assert [len(record["l2"]) for record in watcher.records] == [25] * 3
    assert watcher._compiled.experimental_get_tracing_count() == 1

    traced = []

    class Counted(HalfSquaredError):
        def call(self, y_true, y_pred):
            traced.append(y_pred.shape)
            return super().call(y_true, y_pred)

    model, (x, y) = trainer.model, batch_of()
    following = [w + 0.01 for w in values_of(model)]
    compiled = tf.function(
        lambda x, y: internal_covariate_shift(model, Counted(), (x, y), following)[1:],
        autograph=False,
    )
    for _ in range(2):
        compiled(tf.constant(x), tf.constant(y))
    assert len(traced) == 1


def plain_loop(trainer, batches, steps):
    """One step after the other from Python, each written out; its losses."""
    model, optimizer, loss_fn = trainer.model, trainer.optimizer, trainer.loss_fn

    @tf.function(autograph=False)
    def make_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    losses = []
    for step in range(steps):
        x, y = (array[0] for array in batches.stack(step, step + 1))
        losses.append(float(make_step(tf.constant(x), tf.constant(y))))
    return losses


@pytest.mark.parametrize("norm, batch_size", [("none", 24), ("none", 8), ("bn", 24)])
def test_the_loop_in_the_graph_equals_a_plain_one_bit_for_bit(norm, batch_size):
    """For any split of the steps into graph calls, losses and every variable included."""
    split = load_gaussian(24, 4, 0).train
    make = functools.partial(
        dln_trainer, norm, optimizer=lambda: keras.optimizers.SGD(1e-3, momentum=0.5)
    )
    expected = make()
    losses = plain_loop(expected, Batches(split, batch_size, seed=2), 40)
    assert losses[-1] < 0.9 * losses[0]
    variables = expected.model.variables + expected.optimizer.variables
    for events in (At([]), Every(7), At([3, 4, 30])):
        trainer, log = make(), Values(events)
        trainer.fit(Batches(split, batch_size, seed=2), 40, [log])
        np.testing.assert_array_equal(log.losses, losses)
        found = trainer.model.variables + trainer.optimizer.variables
        for got, want in zip(found, variables, strict=True):
            np.testing.assert_array_equal(got.numpy(), want.numpy(), err_msg=want.path)
        assert trainer._train_steps.experimental_get_tracing_count() == 1


def test_training_in_parts_equals_training_at_once():
    whole, parts = dln_trainer("bn"), dln_trainer("bn")
    whole.fit(full_batches(), 30)
    for steps in (1, 4, 30):
        parts.fit(full_batches(), steps)
    assert whole.step == parts.step == 30
    for got, want in zip(parts.model.variables, whole.model.variables, strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy(), err_msg=want.path)


@pytest.mark.parametrize("norm", ["none", "bn"])
def test_two_replicas_train_and_measure_what_one_device_does(norm, two_replicas):
    """The loss is a sum: nothing is divided by the number of replicas, nor counted twice.

    Steps to 1e-4; distances and shifts are small differences of gradients, to 1e-3. With BN, whose
    graphs are larger, only two layers and no ICS.
    """
    runs = []
    for strategy in (None, two_replicas):
        trainer = dln_trainer(norm, depth=3 if norm == "none" else 2, strategy=strategy)
        log, watchers = Values(), [callbacks.RandomLandscape([1e-3], directions=2, every=3)]
        if norm == "none":
            watchers.append(callbacks.Landscape([1e-3], every=3))
            watchers.append(callbacks.InternalCovariateShift(every=3))
        trainer.fit(full_batches(), 4, [log, *watchers])
        records = [record for watcher in watchers for record in watcher.records]
        runs.append((trainer, log.losses, records))
    (one, losses, records), (two, other_losses, other_records) = runs
    assert two.replicas == 2
    np.testing.assert_allclose(other_losses, losses, rtol=1e-5)
    for got, want in zip(two.model.variables, one.model.variables, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-4, atol=1e-6)
    assert len(records) == (4 + 2 + 2 if norm == "none" else 4)
    for got, want in zip(other_records, records, strict=True):
        assert got.keys() == want.keys()
        for name in want.keys() - {"kind", "layers"}:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-3, atol=1e-4, err_msg=name)
    # Their first loss is that of the whole batch, from the formula.
    if norm == "none":
        start = models.deep_linear("none", 3, 4, seed=1)
        expected, _ = loss_and_gradients(values_of(start), *batch_of())
        np.testing.assert_allclose(other_losses[0], expected, rtol=1e-5)


@pytest.mark.parametrize("norm, replicas", [("none", 2), ("bn", 1)])
def test_a_split_evaluated_in_parts_is_the_sum_of_them(norm, replicas, two_replicas):
    x, y = batch_of(24, 4, seed=5)
    trainer = dln_trainer(norm, depth=2, strategy=two_replicas if replicas == 2 else None)
    trainer.fit(full_batches(), 3)
    outputs = trainer.model(x, training=False).numpy().astype(np.float64)
    expected = 0.5 * ((outputs - y) ** 2).sum()
    for batch_size in (24, 100, 10, 1):
        values = trainer.evaluate(x, y, batch_size)
        assert "accuracy" not in values
        np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)


TINY = {
    "model": "dln",
    "depth": 3,
    "samples": 32,
    "width": 4,
    "steps": 6,
    "probe_every": 4,
    "eval_every": 4,
    "probes": ("landscape", "ics", "random_landscape"),
    "directions": 2,
    "norm": "bn",
}


def records_of(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    study = tmp_path_factory.mktemp("runs") / "study"
    return experiment.run(Settings(**TINY), study, progress=False)


def test_a_run_leaves_all_it_promises(tiny_run):
    described = json.loads((tiny_run / "settings.json").read_text())
    assert Settings(**described["settings"]) == Settings(**TINY)
    dataset = load_gaussian(32, 4, seed=0)
    assert described["data"] == {
        "name": "gaussian",
        "fingerprint": dataset.fingerprint,
        "train_size": 32,
        "test_size": 32,
        "classes": None,
        "input_shape": [4],
    }
    # Three kernels, and two normalisations with scale, shift and two moving averages each.
    assert described["parameters"] == 3 * 16 + 2 * 4 * 4
    status = json.loads((tiny_run / "status.json").read_text())
    assert (status["status"], status["steps"], status["reason"]) == ("done", 6, "")
    assert list((tiny_run / "tensorboard").glob("events*"))
    assert list((tiny_run / "checkpoints").glob("ckpt-6.*"))
    steps = {}
    for record in records_of(tiny_run):
        steps.setdefault(record["kind"], []).append(record["step"])
    assert steps == {
        "train": list(range(6)),
        "eval": [0, 4, 6],
        "landscape": [0, 4],
        "random_landscape": [0, 0, 4, 4],
        "ics": [0, 4],
    }


def test_a_run_measures_loss_and_no_accuracy(tiny_run):
    for record in records_of(tiny_run):
        if record["kind"] == "train":
            assert record.keys() == {"step", "kind", "loss"}
        assert "accuracy" not in record


def test_a_run_starts_from_the_network_and_data_that_its_seed_gives(tiny_run):
    dataset = load_gaussian(32, 4, seed=0)
    model = models.deep_linear("bn", 3, 4, seed=0)
    outputs = model(dataset.train.x, training=True).numpy()
    expected = 0.5 * ((outputs.astype(np.float64) - dataset.train.y) ** 2).sum()
    records = records_of(tiny_run)
    first = {record["kind"]: record for record in reversed(records)}
    for kind in ("train", "landscape", "random_landscape"):
        np.testing.assert_allclose(first[kind]["loss"], expected, rtol=1e-5)
    start = models.deep_linear("bn", 3, 4, seed=0)(dataset.test.x, training=False).numpy()
    expected = 0.5 * ((start.astype(np.float64) - dataset.test.y) ** 2).sum()
    np.testing.assert_allclose(first["eval"]["loss"], expected, rtol=1e-5)


def test_a_run_is_read_as_frames(tiny_run):
    points = len(Settings(**TINY).step_sizes)
    train = bnkit.load_runs(tiny_run, "train")
    assert len(train) == 6 and set(train["depth"]) == {3} and set(train["samples"]) == {32}
    assert "accuracy" not in train or train["accuracy"].isna().all()
    assert len(bnkit.load_runs(tiny_run, "landscape")) == 2 * points
    random = bnkit.load_runs(tiny_run, "random_landscape")
    assert len(random) == 2 * 2 * points
    assert set(random["direction"]) == {0, 1}
    assert set(random["step_size"]) == set(Settings(**TINY).step_sizes)
    ics = bnkit.load_runs(tiny_run, "ics")
    assert list(ics["layer"]) == ["dense1", "dense2", "dense3"] * 2
