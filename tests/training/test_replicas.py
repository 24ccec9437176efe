"""Training and measuring on one, two and four replicas, with every normalisation that bnkit has.

One network has them all, another one at each of its layers: if the replicas did not share the
statistics of any, nothing after it would be equal.
"""

import functools
import itertools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from bnkit import callbacks, layers, models
from bnkit.callbacks.probe import MEASURED_HOW
from bnkit.data import Batches, Split
from bnkit.kinds import PROBES
from bnkit.training import Trainer

# In this order along the network: by images of one pixel `instance` would divide nothing. Noise is
# looked at by its distribution, and `weight`, which wraps its layer, by itself.
NORMS = ("bn", "l1", "instance", "l2", "linf", "layer", "group", "rms")
BATCH_SIZE, CLASSES = 16, 3
# Keras keeps them in float32: these are exact there.
RATE, MOMENTUM = 2.0**-4, 0.875


@pytest.fixture(params=["vgg", "resnet"])
def network(request, monkeypatch):
    """`make(norm)`: a small VGG, or a residual network of one block where bnkit's has three."""
    monkeypatch.setitem(models.resnet.__globals__, "_DEPTHS", (8,))
    make = {
        "vgg": lambda norm: models.vgg(norm, 11, 0.06, CLASSES, (8, 8, 1), seed=1),
        "resnet": lambda norm: models.resnet(norm, 8, 0.5, CLASSES, (8, 8, 1), seed=1),
    }
    return make[request.param]


class Losses(callbacks.Callback):
    """The losses of all steps."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_steps_end(self, first, values):
        self.values += values["loss"].tolist()


class EveryNorm:
    """A factory that makes another normalisation at every call."""

    def __init__(self, synchronized=True):
        self._names = itertools.cycle(NORMS)
        self._synchronized = synchronized

    def __call__(self, name):
        factory = layers.get(next(self._names))
        return (layers.synchronized(factory) if self._synchronized else factory)(name=name)


def batches(batch_size=BATCH_SIZE):
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (5 * BATCH_SIZE, 8, 8, 1), dtype=np.uint8)
    return Batches(Split(x, generator.integers(0, CLASSES, len(x), dtype=np.int32)), batch_size, 3)


def prepared(x):
    return tf.cast(x, keras.config.dtype_policy().variable_dtype) / 64 - 2


def loss_fn():
    dtype = keras.config.dtype_policy().variable_dtype
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)


def trainer(make, norm, strategy):
    with strategy.scope():
        model, optimizer = make(norm), keras.optimizers.SGD(RATE, MOMENTUM)
    return Trainer(
        model, optimizer, loss_fn(), strategy=strategy, prepare=prepared, weight_decay=0.01
    )


def values_of(trained):
    return {v.path: v.numpy() for v in trained.model.variables}


def trained(make, norm, strategy, steps, watchers=()):
    """A trainer after some steps, and the losses of all of them."""
    made, losses = trainer(make, norm, strategy), Losses()
    made.fit(batches(), steps, [losses, *watchers])
    return made, losses.values


def assert_equal(one, other, tolerance):
    """All variables are equal to a tolerance, absolute below 1 and relative above."""
    one, other = values_of(one), values_of(other)
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_allclose(
            other[name], values, rtol=tolerance, atol=tolerance, err_msg=name
        )


def test_no_normalisation_is_forgotten():
    assert {*NORMS, "none", "noisy_bn", "noisy_none", "weight"} == set(layers.names())


def test_sharing_statistics_they_train_as_one_device(network, two_replicas, four_replicas):
    """Over 20 steps in float64, moving statistics included."""
    keras.config.set_dtype_policy("float64")
    one, losses = trained(network, EveryNorm(), tf.distribute.get_strategy(), 20)
    assert np.ptp(losses) > 0.1
    for strategy in (two_replicas, four_replicas):
        several, other_losses = trained(network, EveryNorm(), strategy, 20)
        assert several.replicas == strategy.num_replicas_in_sync
        assert_equal(one, several, 1e-9)
        np.testing.assert_allclose(other_losses, losses, rtol=1e-6)


def test_in_float32_they_differ_by_rounding(network, two_replicas):
    """Over the first steps, held against those in float64 from the same weights."""
    runs = {"one": (tf.distribute.get_strategy(), "float32")}
    runs["exact"] = (tf.distribute.get_strategy(), "float64")
    runs["two"] = (two_replicas, "float32")
    ends, start = {}, None
    for name, (strategy, policy) in runs.items():
        keras.config.set_dtype_policy(policy)
        made = trainer(network, EveryNorm(), strategy)
        start = start or made.model.get_weights()
        made.model.set_weights(start)
        made.fit(batches(), 3)
        ends[name] = np.concatenate([v.ravel() for v in made.model.get_weights()])
    update = np.linalg.norm(ends["exact"] - np.concatenate([v.ravel() for v in start]))
    errors = {n: np.linalg.norm(ends[n] - ends["exact"]) / update for n in ("one", "two")}
    assert 0 < errors["one"] < 0.01
    assert errors["two"] < 3 * errors["one"], errors


def test_weight_normalisation_on_replicas(two_replicas):
    keras.config.set_dtype_policy("float64")
    make = functools.partial(models.perceptron, depth=3, width=0.02, input_shape=(8, 8, 1), seed=1)
    one, _ = trained(make, "weight", tf.distribute.get_strategy(), 20)
    assert_equal(one, trained(make, "weight", two_replicas, 20)[0], 1e-9)


@pytest.mark.parametrize("network", ["resnet"], indirect=True)
def test_alone_each_replica_has_the_statistics_of_its_share(network, two_replicas):
    """Every normalisation, against the shares one after the other on one device.

    The gradients and the moving statistics of the shares are averaged.
    """
    keras.config.set_dtype_policy("float64")
    steps, loss = 4, loss_fn()
    model = network(EveryNorm(synchronized=False))

    @tf.function(autograph=False)
    def share_of(x, y):
        weights = [v.value for v in model.trainable_variables]
        state = [v.value for v in model.non_trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, after = model.stateless_call(weights, state, prepared(x), training=True)
            value = loss(y, outputs)
        return tape.gradient(value, weights), after

    velocity = [np.zeros(v.shape) for v in model.trainable_variables]
    for step in range(steps):
        x, y = (array[0] for array in batches().stack(step, step + 1))
        shares = [share_of(*share) for share in zip(np.split(x, 2), np.split(y, 2), strict=True)]
        gradients, states = (
            [np.mean(values, 0) for values in zip(*parts, strict=True)]
            for parts in zip(*shares, strict=True)
        )
        for i, (v, g) in enumerate(zip(model.trainable_variables, gradients, strict=True)):
            decay = 0.01 * v.numpy() if len(v.shape) > 1 else 0
            velocity[i] = MOMENTUM * velocity[i] - RATE * (g + decay)
            v.assign(v.numpy() + velocity[i])
        for v, value in zip(model.non_trainable_variables, states, strict=True):
            v.assign(value)
    two, _ = trained(network, EveryNorm(synchronized=False), two_replicas, steps)
    for v in model.variables:
        expected = v.numpy()
        np.testing.assert_allclose(values_of(two)[v.path], expected, 1e-9, 1e-9, err_msg=v.path)


@pytest.mark.parametrize("replicas", [2, 4])
def test_alone_batch_norm_by_hand(replicas, two_replicas, four_replicas):
    """A dense layer, batch norm and logits, forward and backward in NumPy, share by share."""
    keras.config.set_dtype_policy("float64")

    def make(norm):
        seeded = functools.partial(keras.initializers.GlorotUniform, seed=2)
        x = inputs = keras.Input((8, 8, 1))
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(4, use_bias=False, kernel_initializer=seeded(), name="dense")(x)
        x = layers.get(norm)(name="norm")(x)
        logits = keras.layers.Dense(CLASSES, kernel_initializer=seeded(), name="logits")
        return keras.Model(inputs, logits(x))

    names = ("dense/kernel", "norm/gamma", "norm/beta", "logits/kernel", "logits/bias")
    start = trainer(make, "bn", tf.distribute.get_strategy())
    values = {name: value.copy() for name, value in values_of(start).items()}
    velocity = {name: 0.0 for name in names}

    def gradients_of(x, y):
        """The gradients of the mean loss of a share, and its mean and variance."""
        kernel, gamma, beta, head, bias = (values[name] for name in names)
        x = (x.astype("float64") / 64 - 2).reshape(len(x), -1)
        hidden = x @ kernel
        normed = reference.batch_norm(hidden, gamma, beta)
        scores = normed.outputs @ head + bias
        softmax = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        upstream = (softmax - np.eye(CLASSES)[y]) / len(y)
        of_hidden, of_gamma, of_beta = reference.batch_norm_gradient(
            upstream @ head.T, hidden, gamma
        )
        found = (x.T @ of_hidden, of_gamma, of_beta, normed.outputs.T @ upstream, upstream.sum(0))
        return found, (normed.mean, normed.variance)

    for step in range(20):
        x, y = (array[0] for array in batches().stack(step, step + 1))
        shares = zip(np.split(x, replicas), np.split(y, replicas), strict=True)
        gradients, statistics = zip(*itertools.starmap(gradients_of, shares), strict=True)
        for name, parts in zip(names, zip(*gradients, strict=True), strict=True):
            decay = 0.01 * values[name] if values[name].ndim > 1 else 0
            velocity[name] = MOMENTUM * velocity[name] - RATE * (np.mean(parts, 0) + decay)
            values[name] = values[name] + velocity[name]
        for name, parts in zip(("mean", "variance"), zip(*statistics, strict=True), strict=True):
            moving = values[f"norm/moving_{name}"]
            values[f"norm/moving_{name}"] = 0.9 * moving + 0.1 * np.mean(parts, 0)
    strategy = {2: two_replicas, 4: four_replicas}[replicas]
    found = values_of(trained(make, "bn", strategy, 20)[0])
    assert found.keys() == values.keys()
    for name, expected in values.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-9, err_msg=name)


def test_noise_is_distributed_as_on_one_device(two_replicas, four_replicas):
    """The loss at weights that stay as they are: its mean over the draws of 600 steps."""

    def make(norm):
        x = inputs = keras.Input((8, 8, 1))
        x = keras.layers.Flatten()(x)
        seeded = {"seed": 4} if norm == "noisy_bn" else {}
        x = layers.synchronized(layers.get(norm))(**seeded)(x)
        initializer = keras.initializers.GlorotUniform(3)
        logits = keras.layers.Dense(CLASSES, kernel_initializer=initializer, name="logits")
        return keras.Model(inputs, logits(x))

    def losses(norm, strategy):
        made, log = trainer(make, norm, strategy), Losses()
        made.optimizer.learning_rate = 0.0
        made.fit(batches(), 600, [log])
        return np.array(log.values)

    one_device = tf.distribute.get_strategy()
    plain, one = losses("bn", one_device), losses("noisy_bn", one_device)
    for strategy in (two_replicas, four_replicas):
        several = losses("noisy_bn", strategy)
        error = np.std(several - one) / np.sqrt(len(one))
        assert np.mean(several - plain) > 10 * error
        assert abs(np.mean(several - one)) < 3 * error


def test_in_float16_all_replicas_leave_an_update_out_if_the_gradient_of_one_overflows(two_replicas):
    """Of two samples only one has a gradient; it is too large for float16 until 2^16 scales it."""
    keras.config.set_dtype_policy("mixed_float16")
    data = Batches(Split(np.ones((2, 3), np.float32), np.array([0, 1], np.int32)), 2, seed=0)
    ends = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            head = keras.layers.Dense(1, kernel_initializer="zeros")
            model = keras.Sequential([keras.Input((3,)), head])
            optimizer = keras.optimizers.SGD(1.0)
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**20)

        def loss(y, outputs):
            return tf.reduce_mean(tf.cast(y, tf.float32) * tf.cast(outputs[:, 0], tf.float32))

        made = Trainer(model, optimizer, loss, strategy=strategy)
        made.fit(data, 6)
        for variable in (*model.variables, *optimizer.variables):
            local = strategy.experimental_local_results(variable.value)
            assert len({value.numpy().tobytes() for value in local}) == 1, variable.path
        ends.append([v.numpy() for v in (*model.variables, *optimizer.variables)])
        assert optimizer.dynamic_scale.numpy() == 2.0**16 and optimizer.iterations.numpy() == 2
    for one, two in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, two)


def every_probe(**options):
    return [
        callbacks.Landscape([0.1], **options),
        callbacks.RandomLandscape([0.1], **options),
        callbacks.InternalCovariateShift(**options),
        callbacks.Activations(**options),
        callbacks.Curvature(products=2, **options),
        callbacks.GradientNoise(batches=2, **options),
        callbacks.Weights(**options),
        callbacks.BatchNormIdentity(**options),
    ]


def branched(norm):
    """Two convolutions, with a connection past the second, and logits."""
    seeds = iter(range(3))
    x = inputs = keras.Input((8, 8, 1))
    for index in (1, 2):
        before = x
        initializer = keras.initializers.GlorotUniform(next(seeds))
        convolution = keras.layers.Conv2D(
            4, 3, padding="same", kernel_initializer=initializer, name=f"conv{index}"
        )
        x = norm(name=f"norm{index}")(convolution(x))
        x = keras.layers.ReLU(name=f"relu{index}")(x if index == 1 else x + before)
    x = keras.layers.GlobalAveragePooling2D()(x)
    initializer = keras.initializers.GlorotUniform(next(seeds))
    return keras.Model(
        inputs, keras.layers.Dense(3, kernel_initializer=initializer, name="logits")(x)
    )


def test_every_probe_measures_what_one_device_does(two_replicas):
    """In float64, the records of two steps."""
    keras.config.set_dtype_policy("float64")
    records = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        watchers = every_probe(every=2)
        trained(branched, EveryNorm(), strategy, 3, watchers)
        records.append([record for watcher in watchers for record in watcher.records])
    assert {record["kind"] for record in records[0]} >= set(PROBES)
    for one, two in zip(*records, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            if name in ("kind", "layers", "precision", *MEASURED_HOW):
                assert one[name] == two[name]
            else:
                np.testing.assert_allclose(two[name], one[name], rtol=1e-9, atol=1e-9, err_msg=name)
