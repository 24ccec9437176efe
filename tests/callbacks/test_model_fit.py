"""The callbacks in plain `model.fit`, on other people's models."""

import keras
import numpy as np
import pandas
import plain_tape
import pytest
import tensorflow as tf
from small import dense

from bnkit import callbacks, probes

RNG = np.random.default_rng(0)


def images(samples=8, size=8, classes=3):
    x = RNG.normal(size=(samples, size, size, 3)).astype("float32")
    return x, RNG.integers(0, classes, samples)


def all_probes(batch, every=2, **options):
    options |= {"batch": batch, "every": every}
    return [
        callbacks.Landscape([0.1, 0.2], **options),
        callbacks.RandomLandscape([0.1], **options),
        callbacks.InternalCovariateShift(**options),
        callbacks.Activations(**options),
        callbacks.Curvature(products=2, **options),
        callbacks.GradientNoise(batches=2, **options),
        callbacks.Weights(**options),
    ]


def sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2, seed=1),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


class Subclassed(keras.Model):
    """A residual network without a graph of its own."""

    def __init__(self):
        super().__init__()
        self.first = keras.layers.Conv2D(3, 3, padding="same")
        self.norm = keras.layers.BatchNormalization()
        self.head = keras.layers.Dense(3)

    def call(self, x, training=False):
        x = x + tf.nn.relu(self.norm(self.first(x), training=training))
        return self.head(tf.reduce_mean(x, [1, 2]))


def transformer():
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(11, 8)(tokens)
    x = keras.layers.LayerNormalization()(x + keras.layers.MultiHeadAttention(2, 4)(x, x))
    x = x + keras.layers.Dense(8)(keras.layers.Dense(16, activation="gelu")(x))
    return keras.Model(tokens, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))


def two_inputs_and_outputs():
    image, number = keras.Input((8, 8, 3), name="image"), keras.Input((2,), name="number")
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(image))
    x = keras.layers.Concatenate()([x, keras.layers.Dense(4, activation="tanh")(number)])
    outputs = {
        "label": keras.layers.Dense(3, name="label")(x),
        "size": keras.layers.Dense(1, name="size")(x),
    }
    return keras.Model({"image": image, "number": number}, outputs)


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(model, loss=None, **options):
    model.compile(keras.optimizers.SGD(0.05), loss or cross_entropy(), **options)
    return model


def task(name):
    """A compiled model with its data, made anew with the same weights each time."""
    keras.utils.set_random_seed(3)
    generator = np.random.default_rng(5)
    x = generator.normal(size=(8, 8, 8, 3)).astype("float32")
    y = generator.integers(0, 3, 8)
    if name == "sequential":
        return compiled(sequential()), x, y
    if name == "subclassed":
        return compiled(Subclassed()), x, y
    if name == "transformer":
        return compiled(transformer()), generator.integers(0, 11, (8, 6)), y
    losses = {"label": cross_entropy(), "size": "mse"}
    model = compiled(two_inputs_and_outputs(), losses, loss_weights={"label": 1.0, "size": 0.5})
    numbers = generator.normal(size=(8, 2)).astype("float32")
    sizes = generator.normal(size=(8, 1)).astype("float32")
    return model, {"image": x, "number": numbers}, {"label": y, "size": sizes}


TASKS = ("sequential", "subclassed", "transformer", "two inputs")


def fit(name, watchers=lambda batch: []):
    model, x, y = task(name)
    found = watchers((x, y))
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=found)
    return model, found


@pytest.mark.parametrize("name", TASKS)
def test_weights_after_training_are_the_same_bits_with_all_probes(name):
    plain, _ = fit(name)
    probed, watchers = fit(name, all_probes)
    for a, b in zip(plain.variables, probed.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    for a, b in zip(plain.metrics_variables, probed.metrics_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    for watcher in watchers:
        assert {record["step"] for record in watcher.records} == {0, 2}
        table = watcher.frame()
        assert isinstance(table, pandas.DataFrame) and set(table["step"]) == {0, 2}
        assert np.isfinite(table.select_dtypes("number").drop(columns="seed")).any(axis=None)


def test_probes_together_and_alone_give_the_same_numbers():
    _, together = fit("sequential", all_probes)
    for i in (0, 2, 3, 5):
        _, (alone,) = fit("sequential", lambda batch, i=i: [all_probes(batch)[i]])
        for one, other in zip(alone.records, together[i].records, strict=True):
            # Layers without a name of their own get another one each time.
            assert str(one | {"layers": None}) == str(other | {"layers": None})


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_is_the_one_that_fit_minimises(name):
    """Keras's own value of it on the same batch in training mode."""
    model, x, y = task(name)
    watcher = callbacks.Landscape([0.1], batch=(x, y), every=100)
    history = model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=[watcher])
    np.testing.assert_allclose(watcher.records[0]["loss"], history.history["loss"][0], rtol=1e-5)


def test_penalties_that_layers_add_are_no_part_of_the_loss():
    def model(penalty):
        keras.utils.set_random_seed(3)
        dense = keras.layers.Dense(3, kernel_regularizer=penalty, activity_regularizer=penalty)
        return compiled(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), dense]))

    x, y = images()
    measured = []
    for penalty in (None, keras.regularizers.L2(10.0)):
        watcher = callbacks.Landscape([0.1], batch=(x, y))
        model(penalty).fit(x, y, verbose=0, callbacks=[watcher])
        measured.append(watcher.records[0])
    for field in ("loss", "losses", "gradient_norm", "gradient_distances"):
        np.testing.assert_allclose(*[one[field] for one in measured], rtol=1e-5)


def test_a_model_may_say_itself_what_its_loss_is():
    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 3 * keras.ops.mean(keras.ops.square(y_pred - keras.ops.cast(y, "float32")))

    inputs = keras.Input((4,))
    model = Own(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd")
    x, y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 1))
    watcher = callbacks.Landscape([0.1], batch=(x, y))
    expected = 3 * np.mean((model.predict(x, verbose=0) - y) ** 2)
    model.fit(x, y, verbose=0, callbacks=[watcher])
    np.testing.assert_allclose(watcher.records[0]["loss"], expected, rtol=1e-5)


def test_mixed_precision_trains_and_is_measured():
    keras.config.set_dtype_policy("mixed_bfloat16")
    x, y = images()
    model = compiled(sequential())
    watchers = all_probes((x, y))
    model.fit(x, y, batch_size=4, verbose=0, callbacks=watchers)
    landscape = watchers[0].records[0]
    assert np.isfinite(landscape["losses"]).all() and landscape["gradient_norm"] > 0


def test_mobilenet():
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=3)
    x, y = images(size=32)
    watcher = callbacks.Landscape([0.1], batch=(x, y))
    compiled(model, "sparse_categorical_crossentropy")
    model.fit(x, y, shuffle=False, verbose=0, callbacks=[watcher])
    (record,) = watcher.records
    assert np.isfinite(record["losses"]).all() and record["gradient_norm"] > 0
    # 52 convolutions and the head.
    activations = probes.activations(model, (x, y), units=1)
    assert activations.layers == tuple(stage.name for stage in probes.stages(model))
    assert len(activations.layers) == 53


def test_under_a_strategy_the_numbers_are_those_of_one_device(two_replicas):
    measured = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            model, x, y = task("subclassed")
            model.optimizer = keras.optimizers.SGD(0.05)
        watcher = callbacks.Landscape([0.1, 0.2], batch=(x, y))
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0, callbacks=[watcher])
        measured.append(watcher.records[0])
    for field in ("loss", "losses", "gradient_distances", "smoothness"):
        np.testing.assert_allclose(*[one[field] for one in measured], rtol=1e-4)


def test_a_scope_around_fit_is_refused_because_keras_would_divide_the_loss(two_replicas):
    with two_replicas.scope(), pytest.raises(ValueError, match=r"outside `strategy\.scope"):
        probes.CompiledLoss(task("sequential")[0])


def test_what_cannot_be_measured_is_refused_before_anything_is_trained():
    x, y = images()
    model = compiled(sequential())
    before = [v.numpy() for v in model.variables]
    for watcher, message in (
        (callbacks.Landscape(batch=(x[..., :2], y)), r"Landscape cannot measure the model"),
        (callbacks.GradientNoise(batches=3, batch=(x, y)), "GradientNoise cannot measure"),
        (callbacks.Landscape(), r"needs `batch=\(x, y\)`"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(x, y, verbose=0, callbacks=[watcher])
    plain = compiled(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), "mse")
    watcher = callbacks.BatchNormIdentity(batch=(np.ones((2, 3)), np.ones(2)))
    with pytest.raises(ValueError, match="BatchNormIdentity cannot measure"):
        plain.fit(np.ones((2, 3)), np.ones(2), verbose=0, callbacks=[watcher])
    for a, b in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


def test_a_call_without_training_is_measured_as_fit_calls_it():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = [keras.layers.Flatten(), keras.layers.Dense(3)]

        def call(self, x):
            return self.inner[1](self.inner[0](x))

    x, y = images()
    watchers = all_probes((x, y))
    model = compiled(Plain())
    model.fit(x, y, batch_size=8, verbose=0, callbacks=watchers)
    assert [watcher.records[0]["step"] for watcher in watchers] == [0] * len(watchers)


def test_a_model_without_a_loss_is_refused():
    model = sequential()
    model.compile("sgd")
    x, y = images()
    with pytest.raises(ValueError, match="must be compiled with a loss"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.Landscape(batch=(x, y))])


def test_plots_are_the_figures_of_the_report():
    _, watchers = fit("sequential", all_probes)
    for watcher in watchers:
        figure = watcher.plot()
        assert any(axes.has_data() for axes in figure.axes)
    assert watchers[0].plot("smoothness").axes[0].get_ylabel() != ""
    with pytest.raises(ValueError, match="`figure` must be one of loss_band, gradient_predict"):
        watchers[0].plot("no such figure")


def test_an_optimizer_that_gathers_gradients_shows_no_single_update():
    model, x, y = dense(optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    watcher = callbacks.InternalCovariateShift(batch=(x, y))
    with pytest.raises(ValueError, match="Received: gradient_accumulation_steps=2"):
        model.fit(x, y, verbose=0, callbacks=[watcher])


def test_there_is_nothing_to_plot_before_fit():
    watcher = callbacks.Landscape(batch=(np.ones((2, 3)), np.ones(2)))
    for look in (watcher.frame, watcher.plot):
        with pytest.raises(ValueError, match="Landscape has no records yet"):
            look()


def test_a_frozen_model_inside_a_model_is_in_inference_mode():
    """Its moving statistics, far from those of the batch, are what `fit` and all probes use."""
    inner = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    base = keras.Sequential([keras.Input((5,)), *inner])
    base.trainable = False
    inner[1].moving_mean.assign([1.0, -2.0, 3.0, 0.5])
    inputs = keras.Input((5,))
    model = compiled(keras.Model(inputs, keras.layers.Dense(1, name="head")(base(inputs))), "mse")
    x, y = (RNG.normal(size=(8, n)).astype("float32") for n in (5, 1))
    kernel, bias, *_ = (v.numpy().astype("float64") for v in base.weights)
    hidden = (x @ kernel + bias - inner[1].moving_mean.numpy()) / np.sqrt(1 + 1e-3)
    head, shift = (v.numpy().astype("float64") for v in model.trainable_variables)
    outputs = np.maximum(hidden, 0) @ head + shift
    gradient = 2 * np.append(np.maximum(hidden, 0).T @ (outputs - y), (outputs - y).sum()) / 8
    watchers = all_probes((x, y), every=1)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=watchers)
    landscape, _, ics, activations, curvature, _, weights = (w.records[0] for w in watchers)
    assert landscape["loss"] == pytest.approx(np.mean((outputs - y) ** 2), rel=1e-5)
    for record in (landscape, curvature, ics):
        norm = np.ravel(record["gradient_norm"])
        assert norm == pytest.approx([np.linalg.norm(gradient)], rel=1e-5)
    assert activations["mean"] == pytest.approx([outputs.mean()], rel=1e-4)
    assert weights["layers"] == ics["layers"] == ["head"]
    with pytest.raises(ValueError, match="no batch norm that takes the statistics of the batch"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.BatchNormIdentity(batch=(x, y))])


def test_a_mask_made_inside_a_nested_model_counts_to_the_end():
    keras.utils.set_random_seed(0)
    inner = [
        keras.layers.Embedding(9, 4, mask_zero=True),
        keras.layers.Dense(3, name="inner"),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
    ]
    inputs = keras.Input((6,), dtype="int32")
    encoder = keras.Sequential([keras.Input((6,), dtype="int32"), *inner])
    model = compiled(keras.Model(inputs, keras.layers.Dense(2)(encoder(inputs))))
    tokens = RNG.integers(1, 9, (7, 6)) * (np.arange(6) < np.arange(7)[:, None])
    y = RNG.integers(0, 2, (7, 6))
    table, kernel, bias = (v.numpy().astype("float64") for v in model.trainable_variables[:3])
    head, shift = (v.numpy().astype("float64") for v in model.trainable_variables[-2:])
    counted = tokens != 0
    z = table[tokens[counted]] @ kernel + bias
    z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-3)
    logits = np.maximum(z, 0) @ head + shift
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    landscape = callbacks.Landscape([0.1], batch=(tokens, y))
    activations = callbacks.Activations(units=3, batch=(tokens, y))
    model.fit(tokens, y, batch_size=7, verbose=0, callbacks=[landscape, activations])
    expected = -np.take_along_axis(logs, y[counted][:, None], 1).mean()
    assert landscape.records[0]["loss"] == pytest.approx(expected, rel=1e-5)
    record = activations.records[0]
    at = [i for i, layer in enumerate(record["layers"]) if layer == "inner"]
    assert np.array(record["variance"])[at] == pytest.approx(z.var(0), rel=1e-4)
    assert np.array(record["quantiles"])[at, 3] == pytest.approx(np.median(z, 0), rel=1e-3)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_an_output_without_a_loss_has_no_part_in_it():
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, "tanh", name="hidden")(inputs)
    outputs = {name: keras.layers.Dense(2, name=name)(hidden) for name in "abc"}
    losses = {"a": "mse", "b": "mae"}
    model = compiled(keras.Model(inputs, outputs), losses, loss_weights={"a": 0.5, "b": 2.0})
    x, a, b = (RNG.normal(size=(8, n)).astype("float32") for n in (3, 2, 2))
    found = {name: value.numpy().astype("float64") for name, value in model(x).items()}
    expected = 0.5 * np.mean((found["a"] - a) ** 2) + 2 * np.mean(np.abs(found["b"] - b))
    batch = x, {"a": a, "b": b}
    watchers = all_probes(batch)
    model.fit(*batch, batch_size=8, verbose=0, callbacks=watchers)
    assert watchers[0].records[0]["loss"] == pytest.approx(expected, rel=1e-5)
    for watcher in (watchers[2], watchers[6]):
        record = watcher.records[0]
        gradients = dict(zip(record["layers"], record["gradient_norm"], strict=True))
        assert gradients["c"] == 0 and min(gradients[name] for name in ("hidden", "a", "b")) > 0


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_an_output_without_a_loss_may_have_no_labels():
    """None in their place, as `fit` takes it."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [keras.layers.Dense(2)(inputs), keras.layers.Dense(4)(inputs)])
    compiled(model, ["mse", None])
    x, y = (RNG.normal(size=(8, n)).astype("float32") for n in (3, 2))
    expected = np.mean((model(x)[0].numpy().astype("float64") - y) ** 2)
    watchers = all_probes((x, [y, None]))
    model.fit(x, [y, None], batch_size=8, verbose=0, callbacks=watchers)
    assert watchers[0].records[0]["loss"] == pytest.approx(expected, rel=1e-5)
    halves = [
        plain_tape.Plain(
            model, lambda m, of=of: tf.reduce_mean((m(x[of])[0] - y[of]) ** 2), []
        ).gradient(plain_tape.values_of(model.trainable_variables))
        for of in (slice(4), slice(4, None))
    ]
    noise = probes.gradient_noise(model, probes.CompiledLoss(model), (x, [y, None]), parts=2)
    for name, value in plain_tape.noise(halves).items():
        assert float(getattr(noise, name)) == pytest.approx(value, rel=1e-3)
