"""What networks are trained for: the loss, and the metrics of each sample."""

import keras
import numpy as np

from bnkit.models import task

MODEL = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])


def test_classification_is_the_cross_entropy_of_logits_with_accuracy():
    model, loss_fn, metrics = task.classification(MODEL)
    logits = np.array([[0.5, -1.0, 2.0], [3.0, 1.0, -2.0]])
    labels = np.array([2, 1])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(shares[[0, 1], labels]).mean()
    assert model is MODEL
    np.testing.assert_allclose(loss_fn(labels, logits), expected, rtol=1e-6)
    assert list(metrics) == ["accuracy"]
    np.testing.assert_array_equal(metrics["accuracy"](labels, logits), [1.0, 0.0])


def test_regression_is_half_the_squared_error_without_metrics():
    model, loss_fn, metrics = task.regression(MODEL)
    assert model is MODEL and metrics == {}
    np.testing.assert_allclose(loss_fn([[1.0, 2.0]], [[4.0, 6.0]]), (9 + 16) / 2)
