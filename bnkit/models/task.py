"""A network, and what it is trained for."""

from typing import NamedTuple

import keras

from bnkit.losses import HalfSquaredError, SmoothedCrossEntropy


class Task(NamedTuple):
    """A network, and what it is trained for.

    Attributes:
        model: The network.
        loss_fn: The loss that is trained on and measured.
        metrics: Name -> function of `y_true` and `y_pred` that gives a value for each sample.
    """

    model: keras.Model
    loss_fn: keras.losses.Loss
    metrics: dict


def classification(model, label_smoothing=0.0):
    """Cross-entropy of logits, with smoothed labels if asked for, and accuracy."""
    if label_smoothing:
        loss_fn = SmoothedCrossEntropy(label_smoothing)
    else:
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Task(model, loss_fn, {"accuracy": keras.metrics.sparse_categorical_accuracy})


def regression(model):
    """Half the squared error, summed over samples and outputs; no metrics."""
    return Task(model, HalfSquaredError(), {})
