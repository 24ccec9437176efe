"""Which step it is in `model.fit`, and at which learning rate."""

import contextlib
import itertools

import keras
import numpy as np
import pytest
from small import dense

from bnkit import callbacks
from bnkit.callbacks.steps import Steps, learning_rate, unwrapped


def watched(model, x, y, every=1, **options):
    watcher = callbacks.Landscape([0.1], batch=(x, y), every=every)
    model.fit(x, y, batch_size=2, verbose=0, callbacks=[watcher], **options)
    return watcher


def steps_of(watcher):
    return [record["step"] for record in watcher.records]


def test_a_second_fit_goes_on_counting():
    model, x, y = dense()
    watcher = watched(model, x, y, epochs=2)
    model.fit(x, y, batch_size=2, verbose=0, callbacks=[watcher])
    assert steps_of(watcher) == [0, 1, 2, 3, 4, 5]
    # So does a callback that sees the model for the first time.
    assert steps_of(watched(model, x, y)) == [6, 7]


def test_initial_epoch_does_not_count_as_steps():
    model, x, y = dense()
    assert steps_of(watched(model, x, y, epochs=7, initial_epoch=6)) == [0, 1]


def test_a_model_that_is_compiled_again_goes_on_counting():
    model, x, y = dense()
    watcher = watched(model, x, y)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(x, y, batch_size=2, verbose=0, callbacks=[watcher])
    assert steps_of(watcher) == [0, 1, 2, 3]


def test_another_model_begins_afresh():
    first, x, y = dense()
    watcher = watched(first, x, y)
    second, _, _ = dense(optimizer=keras.optimizers.SGD(0.5))
    second.fit(x, y, batch_size=2, verbose=0, callbacks=[watcher])
    assert steps_of(watcher) == [0, 1]
    table = watcher.frame()
    assert set(table["norm"]) == {second.name} and set(table["lr"]) == {0.5}


class Alternating(keras.Model):
    """A model with a step of its own, that updates by an optimizer of its own."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(1)
        self.own = keras.optimizers.SGD(0.1)

    def call(self, x):
        return self.head(x)

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x) - y))
        variables = self.trainable_variables
        self.own.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def test_a_step_that_leaves_the_optimizers_count_alone_is_counted_by_batches():
    model = Alternating()
    model.compile(loss="mse")
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    watcher = callbacks.Landscape(
        [0.1], batch=(x, y), every=1, loss=keras.losses.MeanSquaredError()
    )
    model.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[watcher])
    assert steps_of(watcher) == [0, 1, 2, 3]
    losses = [record["loss"] for record in watcher.records]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == 4


def test_a_rate_of_an_optimizer_that_makes_no_updates_is_not_recorded():
    """`compile` makes an RMSprop where it is given no optimizer, and such a model leaves it be."""
    model = Alternating()
    model.compile(loss="mse")
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    options = {"batch": (x, y), "every": 1, "loss": keras.losses.MeanSquaredError()}
    weights, curvature = callbacks.Weights(**options), callbacks.Curvature(**options)
    model.fit(x, y, batch_size=2, verbose=0, callbacks=[weights, curvature])
    assert np.isnan([record["effective_lr"] for record in weights.records]).all()
    assert np.isnan([record["edge_of_stability"] for record in curvature.records]).all()
    assert np.all([record["angular_update"] for record in weights.records])
    assert weights.frame()["lr"].isna().all() and curvature.frame()["lr"].isna().all()


def test_an_update_that_a_loss_scale_leaves_out_is_no_step():
    """An overflow halves the scale and updates nothing: the step is measured again, for real."""
    model, x, y = dense()
    y = 100 * y
    inner = keras.optimizers.SGD(0.01)
    model.compile(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**125), "mse")
    watchers = [kind(batch=(x, y), every=1) for kind in (callbacks.Landscape, callbacks.Weights)]
    model.fit(x, y, batch_size=2, epochs=6, verbose=0, callbacks=watchers)
    made = int(inner.iterations.numpy())
    assert 0 < made < 12
    for watcher in watchers:
        assert steps_of(watcher) == list(range(made))
    landscape, weights = (watcher.records for watcher in watchers)
    assert all(np.isfinite(record["gradient_distances"]).all() for record in landscape)
    assert all(record["angular_update"][0] > 0 for record in weights)


@pytest.mark.parametrize("wrap", [lambda o: o, keras.optimizers.LossScaleOptimizer])
def test_gathered_gradients_are_refused_behind_wrappers_too(wrap):
    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model, x, y = dense()
    model.compile(wrap(inner), "mse")
    for kind in (callbacks.InternalCovariateShift, callbacks.Weights):
        with pytest.raises(ValueError, match="Received: gradient_accumulation_steps=2"):
            model.fit(x, y, verbose=0, callbacks=[kind(batch=(x, y))])


def test_the_rate_is_that_of_the_steps_own_update():
    """Against the update itself: |W(t+1) - W(t)| / |g| with plain gradient descent."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)).astype("float32"), rng.normal(size=(8, 1)).astype("float32")
    boundaries, rates = [1, 3], [0.1, 0.01, 0.001]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
    for wrap in (lambda o: o, keras.optimizers.LossScaleOptimizer):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(wrap(keras.optimizers.SGD(schedule)), "mse")
        weights = callbacks.Weights(batch=(x, y), every=1)
        curvature = callbacks.Curvature(batch=(x, y), every=1)
        kernels = []

        class Watch(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None, kernels=kernels):
                kernels.append(self.model.get_weights()[0].astype("float64"))

        model.fit(x, y, batch_size=8, epochs=5, verbose=0, callbacks=[Watch(), weights, curvature])
        kernels.append(model.get_weights()[0].astype("float64"))
        real = [
            np.linalg.norm(after - before) / np.linalg.norm(2 * x.T @ (x @ before - y) / 8)
            for before, after in itertools.pairwise(kernels)
        ]
        found = [r["effective_lr"][0] * r["weight_norm"][0] ** 2 for r in weights.records]
        np.testing.assert_allclose(found, real, rtol=1e-3)
        edge = [2 * r["edge_of_stability"] / r["top_eigenvalue"] for r in curvature.records]
        np.testing.assert_allclose(edge, real, rtol=1e-3)


def test_a_rate_that_falls_on_a_plateau_is_read_at_each_step():
    model, x, y = dense(optimizer=keras.optimizers.SGD(0.1))
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=0, min_delta=9)
    weights = callbacks.Weights(batch=(x, y), every=1)
    model.fit(x, y, batch_size=4, epochs=4, verbose=0, callbacks=[plateau, weights])
    found = [r["effective_lr"][0] * r["weight_norm"][0] ** 2 for r in weights.records]
    np.testing.assert_allclose(found, [0.1, 0.1, 0.01, 0.001], rtol=1e-5)


@pytest.mark.parametrize("probes_first", [True, False])
def test_a_rate_that_two_callbacks_set_is_that_of_each_update(probes_first):
    """A scheduler sets it when an epoch begins, a plateau at its end, in whatever order."""
    model, x, y = dense(optimizer=keras.optimizers.SGD(0.1))
    scheduler = keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: 0.2 if epoch == 0 else rate
    )
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=0, min_delta=9)
    weights = callbacks.Weights(batch=(x, y), every=1)
    curvature = callbacks.Curvature(batch=(x, y), every=1)
    others, probes = [scheduler, plateau], [weights, curvature]
    watchers = probes + others if probes_first else others + probes
    model.fit(x, y, batch_size=4, epochs=4, verbose=0, callbacks=watchers)
    rates = [0.2, 0.2, 0.1, 0.05]
    found = [r["effective_lr"][0] * r["weight_norm"][0] ** 2 for r in weights.records]
    np.testing.assert_allclose(found, rates, rtol=1e-5)
    edge = [2 * r["edge_of_stability"] / r["top_eigenvalue"] for r in curvature.records]
    np.testing.assert_allclose(edge, rates, rtol=1e-5)


def test_a_fit_that_was_backed_up_goes_on_with_the_same_numbers(tmp_path):
    class Dies(keras.callbacks.Callback):
        def __init__(self, step):
            super().__init__()
            self.step = step

        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations.numpy()) == self.step:
                raise KeyboardInterrupt

    def fitted(*watchers):
        keras.utils.set_random_seed(0)
        model, x, y = dense(optimizer=keras.optimizers.SGD(0.05, momentum=0.9))
        probe = callbacks.Landscape([0.1], batch=(x, y), every=2)
        options = {"batch_size": 2, "epochs": 4, "shuffle": False, "verbose": 0}
        with contextlib.suppress(KeyboardInterrupt):
            model.fit(x, y, callbacks=[*watchers, probe], **options)
        return probe.records

    whole = fitted()
    backup = keras.callbacks.BackupAndRestore
    # In the middle of an epoch of two steps.
    first = fitted(backup(tmp_path, save_freq=1), Dies(3))
    rest = fitted(backup(tmp_path, save_freq=1))
    assert [record["step"] for record in first] == [0, 2]
    # Keras begins the epoch anew, so that there may be a step more in the end.
    assert [record["step"] for record in rest][:2] == [4, 6]
    for found, expected in zip(first + rest, whole, strict=False):
        assert found["step"] == expected["step"]
        np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-5)


def test_wrappers_are_looked_through():
    inner = keras.optimizers.SGD(0.25)
    wrapped = keras.optimizers.LossScaleOptimizer(inner)
    assert unwrapped(wrapped) is inner and unwrapped(None) is None
    assert learning_rate(wrapped) == 0.25 and np.isnan(learning_rate(None))


def test_steps_of_a_model_without_an_optimizer_are_its_batches():
    class Bare:
        optimizer = None

        def train_step(self):
            pass

    steps = Steps()
    counted = []
    for _ in range(3):
        counted.append((steps.at_batch_begin(Bare()), steps.at_batch_end(Bare())))
    assert counted == [(0, 1), (1, 2), (2, 3)]
