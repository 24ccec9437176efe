import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from bnkit import callbacks, probes
from bnkit.layers import BatchNorm
from bnkit.probes.objective import Objective


def random_network(norm=BatchNorm):
    """Like `small.model`, with dropout: it has random state as well as moving averages."""
    base = small.model(norm)
    outputs = keras.layers.Dropout(0.2, seed=5)(base.output)
    return keras.Model(base.input, outputs)


def trained(steps=10, watchers=(), optimizer=None, strategy=None):
    from bnkit.training import Trainer

    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = random_network(small.synchronized)
        optimizer = optimizer() if optimizer else keras.optimizers.SGD(0.1, momentum=0.9)
    trainer = Trainer(
        model, optimizer, small.cross_entropy(), strategy=strategy, prepare=small.prepare
    )
    trainer.fit(small.batches(), steps, watchers)
    return trainer


def both(every=3, **options):
    return [
        callbacks.Landscape([0.1, 0.2], every=every, **options),
        callbacks.InternalCovariateShift(every=every, **options),
    ]


@pytest.mark.parametrize("optimizer", [None, lambda: keras.optimizers.Adam(0.01)])
def test_a_run_with_probes_ends_in_the_same_bits_as_one_without(optimizer):
    plain, probed = trained(optimizer=optimizer), trained(watchers=both(), optimizer=optimizer)
    variables = [t.model.variables + t.optimizer.variables for t in (plain, probed)]
    assert any("seed" in v.path for v in variables[0])
    for a, b in zip(*variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def test_probes_together_and_alone_give_the_same_records():
    together = both()
    trained(watchers=together)
    for i in range(2):
        alone = both()[i]
        trained(watchers=[alone])
        assert alone.records == together[i].records


def test_the_landscape_is_that_of_the_step_on_its_own_batch():
    """Its loss is the training loss of the same step: same weights, batch and dropout mask."""
    losses, log = {}, callbacks.Landscape([0.1], every=4)
    metrics = callbacks.TrainingMetrics(lambda record: losses.update({record["step"]: record}))
    trained(watchers=[log, metrics])
    assert [record["step"] for record in log.records] == [0, 4, 8]
    for record in log.records:
        assert record["kind"] == "landscape" and record["step_sizes"] == [0.1]
        np.testing.assert_allclose(record["loss"], losses[record["step"]]["loss"], rtol=1e-6)


def test_covariate_shift_is_measured_with_the_real_update():
    """Against the probe called by hand with the weights before and after the step."""
    log = callbacks.InternalCovariateShift(every=4)
    trained(5, [log])
    by_hand = trained(4)
    before = [v.numpy() for v in by_hand.model.trainable_variables]
    state = [v.numpy() for v in by_hand.model.non_trainable_variables]
    x, y = by_hand.batch()
    by_hand.fit(small.batches(), 5)
    expected = probes.internal_covariate_shift(
        by_hand.model,
        small.cross_entropy(),
        (small.prepare(x), y),
        by_hand.model.trainable_variables,
        weights=before,
        state=state,
    )
    record = log.records[1]
    assert (record["step"], record["kind"]) == (4, "ics")
    assert tuple(record["layers"]) == expected.layers == ("conv1", "dense2", "logits")
    assert record["l2"][0] == 0 and all(value > 0 for value in record["l2"][1:])
    for name in ("l2", "cosine", "gradient_norm"):
        np.testing.assert_allclose(record[name], getattr(expected, name).numpy(), rtol=1e-4)


def test_activations_change_since_the_last_and_drift_since_the_first_measurement():
    log = callbacks.Activations(every=2, units=2)
    trained(5, [log])
    found = [record for record in log.records if record["kind"] == "activations"]
    assert [record["step"] for record in found] == [0, 2, 4]
    assert np.isnan(found[0]["mean_change"]).all() and not np.any(found[0]["mean_drift"])
    for name in ("mean", "variance"):
        first, second, third = (np.array(record[name]) for record in found)
        assert np.abs(third - second).max() > 1e-3
        np.testing.assert_allclose(found[2][f"{name}_change"], third - second, rtol=1e-12)
        np.testing.assert_allclose(found[2][f"{name}_drift"], third - first, rtol=1e-12)
    signal = [record["kind"] for record in log.records].count("signal_propagation")
    assert signal == 3


def test_what_an_interrupted_run_recorded_is_what_activations_drift_from():
    whole, rest = (callbacks.Activations(every=2, units=2) for _ in range(2))
    trained(5, [whole])
    rest.restore(whole.records[:4])  # of the steps 0 and 2
    trainer = trained(4)
    trainer.fit(small.batches(), 5, [rest])
    assert str(rest.records) == str(whole.records)


def test_curvature_knows_how_far_the_edge_of_stability_is():
    log = callbacks.Curvature(every=4, products=3)
    trained(1, [log])
    (record,) = log.records
    expected = 0.1 * record["top_eigenvalue"] / 2
    np.testing.assert_allclose(record["edge_of_stability"], expected, rtol=1e-6)


def test_weights_are_measured_with_the_real_update_and_learning_rate():
    log = callbacks.Weights(every=4)
    trained(5, [log])
    before, after = (
        [w.numpy().ravel() for w in trained(steps).model.trainable_variables if len(w.shape) > 1]
        for steps in (4, 5)
    )
    record = log.records[1]
    lengths = [np.linalg.norm(kernel) for kernel in before]
    np.testing.assert_allclose(record["weight_norm"], lengths, rtol=1e-5)
    np.testing.assert_allclose(record["effective_lr"], 0.1 / np.square(lengths), rtol=1e-5)
    angles = [
        np.arccos(a.astype(float) @ b / np.linalg.norm(a.astype(float)) / np.linalg.norm(b))
        for a, b in zip(before, after, strict=True)
    ]
    np.testing.assert_allclose(record["angular_update"], angles, rtol=1e-3)


def test_gradient_noise_is_that_of_the_batches_to_come():
    """Against the gradient of each batch by itself."""
    log = callbacks.GradientNoise(every=4, batches=3)
    trained(5, [log])
    by_hand = trained(4)
    gradients = []
    for step in range(4, 7):
        x, y = (stack[0] for stack in small.batches().stack(step, step + 1))
        batch = small.prepare(x), y
        objective = Objective(by_hand.model, small.cross_entropy(), batch)
        pieces = objective.loss_and_gradient(objective.weights)[1]
        gradients.append(np.concatenate([piece.numpy().ravel() for piece in pieces]))
    gradients = np.array(gradients, dtype=float)
    record = log.records[1]
    assert (record["step"], record["batches"]) == (4, 3)
    np.testing.assert_allclose(record["trace"], gradients.var(0, ddof=1).sum(), rtol=1e-4)
    mean = np.linalg.norm(gradients.mean(0))
    np.testing.assert_allclose(record["gradient_norm"], mean, rtol=1e-4)


def test_two_replicas_measure_what_one_device_does(two_replicas):
    """Without dropout, whose draws differ between the replicas by intent."""
    measured = []
    for strategy in (None, two_replicas):
        watchers = both()
        trainer = small.trainer(small.synchronized, strategy=strategy)
        trainer.fit(small.batches(), 4, watchers)
        measured.append([record for watcher in watchers for record in watcher.records])
    for one, two in zip(*measured, strict=True):
        assert one.keys() == two.keys()
        for name in one.keys() - {"kind", "layers"}:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.fixture
def fit():
    """Trains a compiled model with `model.fit` on fixed data; returns the model."""

    def run(watchers=(), loss=None, **options):
        model = random_network()
        options = {"optimizer": keras.optimizers.SGD(0.1), "loss": loss or small.cross_entropy()}
        model.compile(**options)
        data = small.split(32)
        x, y = np.asarray(small.prepare(data.x)), data.y
        keras.utils.set_random_seed(0)
        model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=list(watchers))
        return model, (x[:8], y[:8])

    return run


def test_in_model_fit_on_a_fixed_batch(fit):
    _, batch = fit()
    written = []
    watchers = both(batch=batch, write=written.append)
    probed, _ = fit(watchers)
    plain, _ = fit()
    for a, b in zip(probed.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    for watcher in watchers:
        assert [record["step"] for record in watcher.records] == [0, 3, 6]
    assert sorted(r["kind"] for r in written) == ["ics"] * 3 + ["landscape"] * 3
    start = random_network()
    expected = probes.landscape(start, small.cross_entropy(), batch, [0.1, 0.2])
    np.testing.assert_allclose(watchers[0].records[0]["losses"], expected.losses, rtol=1e-5)


def test_in_model_fit_the_loss_may_be_given_by_name(fit):
    _, batch = fit()
    by_name, by_object = (callbacks.Landscape([0.1], batch=batch) for _ in range(2))
    one_hot = keras.utils.to_categorical(batch[1], 3)
    for watcher, loss in (
        (by_name, "mean_squared_error"),
        (by_object, keras.losses.MeanSquaredError()),
    ):
        model = small.model()
        model.compile(optimizer="sgd", loss=loss)
        watcher._fixed_batch = (batch[0], one_hot)
        model.fit(batch[0], one_hot, verbose=0, callbacks=[watcher])
    np.testing.assert_allclose(by_name.records[0]["losses"], by_object.records[0]["losses"])


@pytest.mark.parametrize(
    "loss", ["hinge", "binary_crossentropy", "mse", keras.losses.huber, keras.losses.Hinge()]
)
def test_a_label_for_each_sample_meets_an_output_of_length_one(loss):
    """As in `compile`, with the loss that Keras itself takes of the same outputs."""
    data = small.split(16)
    x, y = np.asarray(small.prepare(data.x)), (data.y > 0).astype("float32")
    base = small.model()
    outputs = keras.layers.Dense(1, activation="sigmoid")(base.output)
    model = keras.Model(base.input, outputs)
    model.compile("sgd", loss)
    expected = model.compute_loss(y=y, y_pred=model(x, training=True)).numpy()
    watcher = callbacks.Landscape([0.1], batch=(x, y))
    model.fit(x, y, verbose=0, callbacks=[watcher])
    np.testing.assert_allclose(watcher.records[0]["loss"], expected, rtol=1e-6)


def test_model_fit_needs_a_batch_and_single_steps(fit):
    with pytest.raises(ValueError, match=r"Landscape needs `batch=\(x, y\)`"):
        fit([callbacks.Landscape()])
    model = small.model()
    model.compile(loss=small.cross_entropy(), steps_per_execution=4)
    data = small.split(8)
    x = np.asarray(small.prepare(data.x))
    watcher = callbacks.InternalCovariateShift(batch=(x, data.y))
    with pytest.raises(ValueError, match="Received: steps_per_execution=4"):
        model.fit(x, data.y, verbose=0, callbacks=[watcher])
