"""Evaluation on a split: every sample once, with moving and with other statistics."""

import functools

import keras
import numpy as np
import pytest
import small
from small import fitted, weights_of

from bnkit.layers import BatchNorm, NoisyBatchNorm


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize("batch_size", [64, 25, 7])
def test_evaluation_counts_every_sample_once(reduction, batch_size, two_replicas):
    data = small.split(64)
    for strategy in (None, two_replicas):
        trainer = small.trainer(strategy=strategy, loss=small.cross_entropy(reduction))
        before = weights_of(trainer)
        values = trainer.evaluate(data.x, data.y, batch_size)
        logits = trainer.model(small.prepare(data.x), training=False).numpy().astype("float64")
        log_sum = np.log(np.exp(logits).sum(-1))
        losses = log_sum - logits[np.arange(64), data.y]
        expected = losses.sum() if reduction == "sum" else losses.mean()
        np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)
        np.testing.assert_allclose(values["accuracy"], (logits.argmax(-1) == data.y).mean())
        for a, b in zip(before, weights_of(trainer), strict=True):
            np.testing.assert_array_equal(a, b)


def loss_of(model, x, y, training):
    logits = model(small.prepare(x), training=training).numpy().astype("float64")
    return np.mean(np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(y)), y])


@pytest.mark.parametrize("samples", [64, 24])
@pytest.mark.parametrize("distributed", [False, True])
def test_evaluation_with_other_statistics(samples, distributed, two_replicas):
    """Against copies of the model that forget at once: their state is that of the last batch."""
    batches = small.batches(samples=samples)
    trainer = fitted(data=batches, strategy=two_replicas if distributed else None)
    data, size = small.split(30, seed=9), 12
    values = trainer.evaluate(data.x, data.y, size)

    def copy():
        model = small.model(lambda: BatchNorm(momentum=0.0))
        model.set_weights(trainer.model.get_weights())
        return model

    parts = [slice(start, start + size) for start in (0, 12, 24)]
    losses = [loss_of(copy(), data.x[part], data.y[part], training=True) for part in parts]
    expected = np.dot(losses, [12, 12, 6]) / 30
    np.testing.assert_allclose(values["loss_batch_statistics"], expected, rtol=1e-5)

    population = copy()
    seen = []
    # Of 24 samples there are but three batches of 8 before they come again.
    for x in batches.stack(0, min(5, samples // 8))[0]:
        population(small.prepare(x), training=True)
        seen.append([v.numpy() for v in population.non_trainable_variables])
    averages = [np.mean(of_batches, 0) for of_batches in zip(*seen, strict=True)]
    for variable, average in zip(population.non_trainable_variables, averages, strict=True):
        variable.assign(average)
    expected = loss_of(population, data.x, data.y, training=False)
    np.testing.assert_allclose(values["loss_population_statistics"], expected, rtol=1e-5)
    assert len({round(value, 3) for name, value in values.items() if "loss" in name}) == 3


def test_evaluation_changes_nothing_and_repeats_itself():
    """Also with noise, which acts in training mode; and compiles everything once."""
    trainer, data = fitted(norm=NoisyBatchNorm), small.split(20, seed=9)
    before = weights_of(trainer)
    first, second = (trainer.evaluate(data.x, data.y, 10) for _ in range(2))
    assert first == second and len(first) == 4
    for a, b in zip(before, weights_of(trainer), strict=True):
        np.testing.assert_array_equal(a, b)
    trainer.fit(small.batches(), 20)
    assert trainer.evaluate(data.x, data.y, 10) != first
    for function in (trainer._evaluator._population_state, trainer._evaluator._compare_statistics):
        assert function.experimental_get_tracing_count() == 1


def test_without_moving_statistics_nothing_more_is_evaluated():
    data = small.split(20, seed=9)
    plain, unfitted = fitted(norm=None), small.trainer(BatchNorm)
    dropout = fitted(norm=functools.partial(keras.layers.Dropout, 0.5, seed=1))
    for trainer in (plain, dropout, unfitted):
        assert trainer.evaluate(data.x, data.y, 10).keys() == {"loss", "accuracy"}
        for function in (
            trainer._evaluator._population_state,
            trainer._evaluator._compare_statistics,
        ):
            assert function.experimental_get_tracing_count() == 0
