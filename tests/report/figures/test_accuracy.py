"""Accuracy on training batches and on the test split."""

import numpy as np
from artists import lines

from bnkit.report import load_runs
from bnkit.report.figures import accuracy
from bnkit.report.runs import read_runs


def test_training_curves_show_every_step_and_a_running_mean(runs):
    path = runs(norm="bn", steps=60)
    train, evaluation = (load_runs(path, kind) for kind in ("train", "eval"))
    training, test = accuracy.ENTRY.draw(train, evaluation).axes[:2]
    raw, mean = lines(training, "bn")
    np.testing.assert_array_equal(raw.get_ydata(), train["accuracy"])
    expected = train["accuracy"].rolling(10, min_periods=1).mean()
    np.testing.assert_allclose(mean.get_ydata(), expected, rtol=1e-12)
    np.testing.assert_array_equal(lines(test, "bn")[0].get_ydata(), evaluation["accuracy"])
    assert training.get_ylabel() == "accuracy" and training.get_yscale() == "linear"
    assert training.get_ylim() == test.get_ylim() == (0, 1.02)


def test_a_regression_has_no_accuracy(runs):
    assert not accuracy.ENTRY.applies(read_runs(runs(model="dln", kinds=())))
    assert accuracy.ENTRY.applies(read_runs(runs(kinds=(), lr=0.1).parent))
