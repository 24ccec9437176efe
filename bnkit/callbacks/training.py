"""What every run records: the values of each training step, and the test split now and then."""

import numpy as np

from bnkit.callbacks.base import Callback
from bnkit.schedules import Every


class TrainingMetrics(Callback):
    """Records `{step, kind: "train", loss, accuracy, ...}` for every step.

    Args:
        write: Called with each record.
    """

    part = "records"

    def __init__(self, write):
        super().__init__()
        self._write = write

    def on_steps_end(self, first, values):
        columns = {name: array.tolist() for name, array in values.items()}
        for i, row in enumerate(zip(*columns.values(), strict=True)):
            step = {"step": first + i, "kind": "train"}
            self._write(step | dict(zip(columns, row, strict=True)))


class Evaluation(Callback):
    """Records `{step, kind: "eval", test_samples, loss, accuracy}` of a split, in inference mode.

    For a model with moving statistics also `loss_batch_statistics` and
    `loss_population_statistics`, see `Trainer.evaluate`. While the training goes on, some samples
    stand for the split, drawn at random but always the same; the evaluation after the last
    update is of the whole split. `test_samples` says of how many.

    Args:
        split: Has the arrays `x` and `y`.
        every: Steps between two evaluations, from step 0; one more follows the last update.
        samples: How many samples stand for the split.
        batch_size: Samples evaluated at a time.
        write: Called with each record.
    """

    def __init__(self, split, *, every, samples, batch_size, write):
        super().__init__(Every(every))
        self._is_compiled = False
        self._split = split
        self._batch_size = batch_size
        self._write = write
        self._shown = drawn(len(split.y), samples)

    @property
    def part(self):
        """The first evaluation is spent on compiling."""
        return "evaluate" if self._is_compiled else "compile"

    def traces(self):
        return self.trainer.traces_of_evaluation(*self._sample(), self._batch_size)

    def on_train_batch_begin(self, batch, logs=None):
        self._evaluate(*self._sample())

    def on_train_end(self, logs=None):
        self._evaluate(self._split.x, self._split.y)

    def _sample(self):
        return self._split.x[self._shown], self._split.y[self._shown]

    def _evaluate(self, x, y):
        values = self.trainer.evaluate(x, y, self._batch_size)
        self._is_compiled = True
        self._write({"step": self.trainer.step, "kind": "eval", "test_samples": len(y), **values})


def drawn(length, count):
    """`count` random positions among `length`, in order and always the same, or all of them.

    Positions at even distances would miss classes in a split where labels come in turn.
    """
    return np.sort(np.random.default_rng(0).permutation(length)[:count])
