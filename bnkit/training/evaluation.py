"""Evaluation of a model on a split of data."""

import numpy as np
import tensorflow as tf

from bnkit.probes.objective import call_at, read, replica_loss
from bnkit.probes.population import momenta, population_state

# Number of training batches that population statistics are taken over, at most.
_POPULATION_BATCHES = 5


class Evaluator:
    """Evaluates a model on a split of data, with moving and with other statistics.

    A single device does the work under any strategy, so that no sample is padded or left out.

    Args:
        model: A built `keras.Model`.
        loss_fn: As for a `Trainer`.
        prepare: Applied to the inputs of a batch.
        metrics: Name -> function `(y_true, y_pred)` of per-sample values, averaged.
        wait: Called with each `tf.function` before it is called, see `Tracing.wait`.
    """

    def __init__(self, model, loss_fn, prepare, metrics, wait=lambda function: None):
        self._model = model
        self._loss_fn = loss_fn
        self._prepare = prepare
        self._metrics = metrics
        self._wait = wait
        self._momenta = None  # not known before there are training batches
        self._inference = tf.function(self._batch_values, autograph=False, reduce_retracing=True)
        self._compare_statistics = tf.function(
            self._statistics_losses, autograph=False, reduce_retracing=True
        )
        self._population_state = tf.function(
            lambda x: population_state(
                self._model, tf.stack(list(map(self._prepare, tf.unstack(x)))), known=self._momenta
            ),
            autograph=False,
        )

    def __call__(self, x, y, batch_size, training_batches=None):
        """Loss and metrics of a whole split, name -> float.

        `loss` and the metrics are those of inference mode. Given training batches, a model with
        moving statistics also has

        * `loss_batch_statistics`: in training mode, each batch of the split normalised with its
          own statistics; random layers act too, drawing from their current state;
        * `loss_population_statistics`: in inference mode, with statistics measured anew at the
          current weights, on the first batches of training (see `population_state`).

        Batches count by their size. The statistics of a small last batch are poor, and those of a
        single sample are meaningless: for `loss_batch_statistics` choose a `batch_size` that
        divides the split.

        Args:
            x, y: Arrays of the split.
            batch_size: Samples evaluated at a time.
            training_batches: As for `Trainer.fit`.
        """
        self._wait(self._inference)
        totals = _over_split(self._inference, x, y, batch_size)
        values = dict(zip(["loss", *self._metrics], totals, strict=True))
        if training_batches is None:
            return values
        self._wait(self._population_state)
        if self._momenta is None:
            self._find_momenta(training_batches.stack(0, 1)[0][0])
        if self._has_moving_statistics:
            population = self._population_state(_first(training_batches))
            names = ("loss_batch_statistics", "loss_population_statistics")
            self._wait(self._compare_statistics)
            totals = _over_split(self._compare_statistics, x, y, batch_size, population)
            values |= dict(zip(names, totals, strict=True))
        return values

    def traces(self, x, y, batch_size, training_batches):
        """What a call with these arguments has to trace, see `Tracing.ahead`."""
        batch = x[:batch_size], y[:batch_size], np.float32(1)
        first = _first(training_batches)

        def trace_population():
            self._find_momenta(first[0])
            if self._has_moving_statistics:
                self._population_state.get_concrete_function(first)

        def trace_comparison():
            if self._has_moving_statistics:
                state = self._model.non_trainable_variables
                specs = [tf.TensorSpec(v.shape, v.dtype) for v in state]
                self._compare_statistics.get_concrete_function(*batch, specs)

        return [
            (self._inference, lambda: self._inference.get_concrete_function(*batch)),
            (self._population_state, trace_population),
            (self._compare_statistics, trace_comparison),
        ]

    def _find_momenta(self, x):
        # Two samples are enough to find out.
        self._momenta = momenta(self._model, self._prepare(x[:2]))

    @property
    def _has_moving_statistics(self):
        return not all(np.isnan(m) for m in self._momenta.values())

    def _batch_values(self, x, y, parts):
        """What a batch adds to the loss and metrics of a split that is `parts` times as large."""
        outputs = self._model(self._prepare(x), training=False)
        loss = replica_loss(self._loss_fn, y, outputs, parts)
        loss = tf.cast(loss, tf.float32)
        return tf.stack([loss, *metric_values(self._metrics, y, outputs, parts)])

    def _statistics_losses(self, x, y, parts, population):
        """The losses of a batch with its own statistics, and with those of the population."""
        x, weights = self._prepare(x), read(self._model.trainable_variables)
        losses = []
        for state, statistics in (
            (read(self._model.non_trainable_variables), "batch"),
            (population, "moving"),
        ):
            outputs, _ = call_at(self._model, weights, state, x, statistics)
            losses.append(tf.cast(replica_loss(self._loss_fn, y, outputs, parts), tf.float32))
        return tf.stack(losses)


def _first(training_batches):
    """The inputs of the batches that population statistics are taken over."""
    steps = min(_POPULATION_BATCHES, training_batches.steps_per_epoch)
    return training_batches.stack(0, steps)[0]


def metric_values(metrics, y, outputs, parts):
    """What a batch adds to each metric of data that is `parts` times as large."""
    return [
        tf.reduce_mean(tf.cast(metric(y, outputs), tf.float32)) / parts
        for metric in metrics.values()
    ]


def _over_split(function, x, y, batch_size, *arguments):
    """The values of a split, added up over its batches, a list of floats."""
    totals = 0.0
    for start in range(0, len(y), batch_size):
        part = slice(start, start + batch_size)
        parts = np.float32(len(y) / len(y[part]))
        totals += function(x[part], y[part], parts, *arguments)
    return totals.numpy().tolist()
