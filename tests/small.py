"""A small training task that tests share: images, a network, and a trainer on them."""

import functools

import keras
import numpy as np
import tensorflow as tf

from bnkit.data import Batches, Split
from bnkit.layers import BatchNorm
from bnkit.training import Trainer


def split(samples=64, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (samples, 4, 4, 1), dtype=np.uint8)
    return Split(images, generator.integers(0, classes, samples, dtype=np.int32))


def prepare(x):
    return keras.ops.cast(x, "float32") / 128 - 1


def dense(**options):
    """One dense layer on 3 inputs, compiled, with its data."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(**{"optimizer": keras.optimizers.SGD(0.1), "loss": "mse", **options})
    return model, np.ones((4, 3)), np.ones((4, 1))


def model(norm=None, seed=1):
    """A convolution and a dense layer, each followed by the normalisation; 3 classes."""
    glorot = functools.partial(keras.initializers.GlorotUniform, seed=seed)
    x = inputs = keras.Input((4, 4, 1))
    for layer in (
        keras.layers.Conv2D(4, 3, kernel_initializer=glorot(), name="conv1"),
        keras.layers.Flatten(),
        keras.layers.Dense(5, kernel_initializer=glorot(), name="dense2"),
    ):
        x = layer(x)
        if norm and layer.weights:
            x = norm()(x)
            x = keras.layers.ReLU()(x)
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=glorot(), name="logits")(x))


synchronized = functools.partial(BatchNorm, synchronized=True)


def cross_entropy(reduction="sum_over_batch_size"):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)


def trainer(norm=BatchNorm, *, strategy=None, loss=None, optimizer=None, **options):
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        network = model(norm)
        optimizer = optimizer() if optimizer else keras.optimizers.SGD(0.1, momentum=0.9)
    options = {"metrics": {"accuracy": keras.metrics.sparse_categorical_accuracy}, **options}
    return Trainer(
        network,
        optimizer,
        loss or cross_entropy(),
        strategy=strategy,
        prepare=prepare,
        **options,
    )


def batches(batch_size=8, **options):
    return Batches(split(**options), batch_size, seed=3)


def random_model(norm=BatchNorm):
    """Like `model`, with dropout: it has random state as well as moving averages."""
    base = model(norm)
    outputs = keras.layers.Dropout(0.2, seed=5)(base.output)
    return keras.Model(base.input, outputs)


def trained(steps=10, watchers=(), optimizer=None, strategy=None):
    """A trainer of the `random_model` that has made some steps, watched by callbacks."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        network = random_model(synchronized)
        optimizer = optimizer() if optimizer else keras.optimizers.SGD(0.1, momentum=0.9)
    made = Trainer(network, optimizer, cross_entropy(), strategy=strategy, prepare=prepare)
    made.fit(batches(), steps, watchers)
    return made


def weights_of(trainer):
    """All that training changes, as arrays."""
    return [v.numpy() for v in trainer.model.variables + trainer.optimizer.variables]


def fitted(steps=12, callbacks=(), data=None, **options):
    """A `trainer` that has made some steps."""
    made = trainer(**options)
    made.fit(data or batches(), steps, callbacks)
    return made
