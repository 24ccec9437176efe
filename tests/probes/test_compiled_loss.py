"""The probes' function is the one that `model.fit` minimises: held against a plain tape."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnkit import probes
from bnkit.probes.objective import Objective

RNG = np.random.default_rng(0)


def plain(model, batch, training=True, added=False):
    """Loss and gradient of a batch as `Model.train_step` takes them, by a tape."""
    x, y, *rest = batch
    with tf.GradientTape() as tape:
        outputs = model(x, training=training)
        loss = model.compute_loss(x, y, outputs, *rest, training=training)
        if not added:
            loss -= sum(tf.reduce_sum(one) for one in model.losses)
    gradient = tape.gradient(loss, model.trainable_variables)
    return float(loss), [tf.convert_to_tensor(g).numpy() for g in gradient]


def measured(model, batch, added=False, statistics="batch", in_graph=True):
    loss = probes.CompiledLoss(model, added_losses=added)

    def measure():
        objective = Objective(model, loss, batch, statistics=statistics)
        return objective.loss_and_gradient(objective.weights)

    value, gradient = (tf.function(measure, autograph=False) if in_graph else measure)()
    return float(value), [g.numpy() for g in gradient]


def assert_same(ours, theirs, rtol=1e-5):
    assert ours[0] == pytest.approx(theirs[0], rel=rtol)
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


def regression(**options):
    """Two dense layers with regularizers and an activity penalty, and their batch."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "tanh", kernel_regularizer="l2", activity_regularizer="l1"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    x = RNG.normal(size=(8, 3)).astype("float32")
    return model, (x, RNG.normal(size=(8, 1)).astype("float32"))


@pytest.mark.parametrize("in_graph", [True, False], ids=["graph", "eager"])
@pytest.mark.parametrize("added", [True, False])
def test_losses_that_layers_add_are_in_or_out(added, in_graph):
    model, batch = regression()
    with_penalties, without = (plain(model, batch, added=one)[0] for one in (True, False))
    assert with_penalties > without + 1e-3
    ours = measured(model, batch, added, in_graph=in_graph)
    assert_same(ours, plain(model, batch, added=added))


def test_the_model_keeps_the_losses_that_its_last_call_added():
    model, batch = regression()
    model(batch[0])
    before = [float(loss) for loss in model.losses]
    measured(model, batch, in_graph=False)
    assert [float(loss) for loss in model.losses] == before


def test_sample_weights_count_as_in_fit():
    model, (x, y) = regression()
    weight = np.linspace(0, 2, 8).astype("float32")
    ours = measured(model, (x, y, weight))
    assert_same(ours, plain(model, (x, y, weight)))
    errors = (np.array(model(x, training=True)) - y).astype("float64")[:, 0] ** 2
    assert ours[0] == pytest.approx((weight * errors).mean(), rel=1e-5)


def test_moving_statistics_are_those_of_inference():
    model, batch = regression()
    model.layers[1].moving_mean.assign([1.0, -1.0, 0.5, 2.0])
    ours = measured(model, batch, statistics="moving")
    assert_same(ours, plain(model, batch, training=False))
    assert ours[0] != pytest.approx(measured(model, batch)[0], rel=1e-2)


def test_outputs_count_by_their_loss_weights():
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(2, name=name)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"a": "mse", "b": "mae"}, loss_weights={"a": 1.0, "b": 0.25})
    x, a, b = (RNG.normal(size=(6, n)).astype("float32") for n in (3, 2, 2))
    ours = measured(model, (x, {"a": a, "b": b}))
    assert_same(ours, plain(model, (x, {"a": a, "b": b})))
    found = {name: np.array(value, "float64") for name, value in model(x).items()}
    expected = ((found["a"] - a) ** 2).mean() + 0.25 * np.abs(found["b"] - b).mean()
    assert ours[0] == pytest.approx(expected, rel=1e-5)


def test_masked_time_steps_do_not_count():
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(7, 4, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", cross_entropy)
    tokens = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 0]])
    labels = RNG.integers(0, 3, tokens.shape)
    ours = measured(model, (tokens, labels))
    assert_same(ours, plain(model, (tokens, labels)))
    logits = np.array(model(tokens), "float64")
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -np.take_along_axis(logs, labels[..., None], -1)[..., 0]
    # Keras divides by the unmasked positions.
    assert ours[0] == pytest.approx(losses[tokens != 0].mean(), rel=1e-5)


class Reconstructing(keras.Model):
    """Says itself what its loss is: of its inputs, its weights, and what layers add."""

    def __init__(self):
        super().__init__()
        self.layer = keras.layers.Dense(3, kernel_regularizer="l2")

    def call(self, x, training=False):
        return self.layer(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        distance = keras.ops.mean(keras.ops.square(x - y_pred))
        return distance + 0.1 * keras.ops.sum(self.layer.kernel**2) + sum(self.losses)


@pytest.mark.parametrize("added", [True, False])
def test_a_loss_of_the_models_own_is_measured_as_it_is(added):
    model = Reconstructing()
    model.compile("sgd")
    x, y = RNG.normal(size=(6, 3)).astype("float32"), np.zeros((6, 1), "float32")
    model(x)
    ours = measured(model, (x, y), added)
    assert_same(ours, plain(model, (x, y), added=added))


class OwnStep(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer = keras.layers.Dense(1)

    def call(self, x):
        return self.layer(x)

    def train_step(self, data):
        return {"loss": tf.constant(0.0)}


@pytest.mark.parametrize("compiled", [{"loss": "mse"}, {}, None], ids=["loss", "no loss", "not"])
def test_a_train_step_of_the_models_own_is_refused(compiled):
    """For that reason, whether or not it is compiled: a loss given to `compile` would not help."""
    model = OwnStep()
    if compiled is not None:
        model.compile("sgd", **compiled)
    model(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"OwnStep has a `train_step` of its own.*loss\(y_true"):
        probes.CompiledLoss(model)


def test_without_a_loss_there_is_nothing_to_measure():
    model, _ = regression(loss=None)
    with pytest.raises(ValueError, match="must be compiled with a loss"):
        probes.CompiledLoss(model)
    with pytest.raises(ValueError, match="must be compiled with a loss"):
        probes.CompiledLoss(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))


def half(optimizer=None, scale=1e-5):
    """A model in mixed float16 whose gradients are too small for float16."""
    keras.config.set_dtype_policy("mixed_float16")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    if optimizer:
        model.compile(optimizer, Scaled(scale))
    return model


class Scaled(keras.losses.Loss):
    """The mean squared error times a number."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * keras.ops.mean((y_true - keras.ops.cast(y_pred, "float32")) ** 2, -1)


def in_float32(model, batch, factor):
    """The gradient of the same network in float32."""
    keras.config.set_dtype_policy("float32")
    layers = [keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)]
    twin = keras.Sequential([keras.Input((4,)), *layers])
    twin.set_weights(model.get_weights())
    x, y = batch
    with tf.GradientTape() as tape:
        loss = Scaled(factor)(y, twin(x))
    return [g.numpy() for g in tape.gradient(loss, twin.trainable_variables)]


@pytest.mark.parametrize("optimizer", [None, "sgd"])
def test_gradients_in_float16_do_not_underflow(optimizer):
    model = half(optimizer)
    batch = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 1)).astype("float32")
    loss = probes.CompiledLoss(model) if optimizer else Scaled(1e-5)
    objective = Objective(model, loss, batch)
    _, ours = objective.loss_and_gradient(objective.weights)
    for a, b in zip(ours, in_float32(model, batch, 1e-5), strict=True):
        # float16 keeps three digits.
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2 * np.abs(b).max())


def test_without_a_loss_scale_they_would_underflow():
    """What the test before is about: an optimizer that does not scale is measured as it trains."""
    keras.config.set_dtype_policy("mixed_float16")
    model = half()
    model.compile("sgd", Scaled(1e-7), auto_scale_loss=False)
    batch = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 1)).astype("float32")
    objective = Objective(model, probes.CompiledLoss(model), batch)
    _, ours = objective.loss_and_gradient(objective.weights)
    theirs = in_float32(model, batch, 1e-7)
    errors = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(ours, theirs, strict=True)]
    assert max(errors) > 0.5


@pytest.mark.parametrize("in_graph", [True, False], ids=["graph", "eager"])
def test_where_the_scale_overflows_a_smaller_one_is_taken(in_graph):
    model = half("sgd", scale=1e3)
    model.optimizer.build(model.trainable_variables)
    model.optimizer.dynamic_scale.assign(2.0**24)
    batch = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 1)).astype("float32")
    _, ours = measured(model, batch, in_graph=in_graph)
    for a, b in zip(ours, in_float32(model, batch, 1e3), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2 * np.abs(b).max())
