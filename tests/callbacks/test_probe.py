"""What all probes share that are taken while a model trains."""

import keras
import numpy as np
import pytest
import small

from bnkit import callbacks, probes


def both(every=3, **options):
    return [
        callbacks.Landscape([0.1, 0.2], every=every, **options),
        callbacks.InternalCovariateShift(every=every, **options),
    ]


@pytest.mark.parametrize("optimizer", [None, lambda: keras.optimizers.Adam(0.01)])
def test_a_run_with_probes_ends_in_the_same_bits_as_one_without(optimizer):
    plain, probed = (
        small.trained(optimizer=optimizer),
        small.trained(watchers=both(), optimizer=optimizer),
    )
    variables = [t.model.variables + t.optimizer.variables for t in (plain, probed)]
    assert any("seed" in v.path for v in variables[0])
    for a, b in zip(*variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def test_probes_together_and_alone_give_the_same_records():
    together = both()
    small.trained(watchers=together)
    for i in range(2):
        alone = both()[i]
        small.trained(watchers=[alone])
        assert alone.records == together[i].records


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
        for name in one.keys() - {"kind", "layers", "statistics", "precision"}:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.fixture
def fit():
    """Trains a compiled model with `model.fit` on fixed data; returns the model."""

    def run(watchers=(), loss=None, **options):
        model = small.random_model()
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
    start = small.random_model()
    expected = probes.landscape(start, small.cross_entropy(), batch, [0.1, 0.2])
    np.testing.assert_allclose(watchers[0].records[0]["losses"], expected.losses, rtol=1e-5)


def test_in_model_fit_the_loss_may_be_given_by_name(fit):
    _, batch = fit()
    one_hot = keras.utils.to_categorical(batch[1], 3)
    by_name, by_object = (callbacks.Landscape([0.1], batch=(batch[0], one_hot)) for _ in range(2))
    for watcher, loss in (
        (by_name, "mean_squared_error"),
        (by_object, keras.losses.MeanSquaredError()),
    ):
        model = small.model()
        model.compile(optimizer="sgd", loss=loss)
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
