"""What every run records: the values of each training step, and the test split now and then."""

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
    """Records `{step, kind: "eval", loss, accuracy}` of a split, in inference mode.

    For a model with moving statistics also `loss_batch_statistics` and
    `loss_population_statistics`, see `Trainer.evaluate`.

    Args:
        split: Has the arrays `x` and `y`.
        every: Steps between two evaluations, from step 0; one more follows the last update.
        batch_size: Samples evaluated at a time.
        write: Called with each record.
    """

    part = "evaluate"

    def __init__(self, split, *, every, batch_size, write):
        super().__init__(Every(every))
        self._split = split
        self._batch_size = batch_size
        self._write = write

    def on_train_batch_begin(self, batch, logs=None):
        self._evaluate()

    def on_train_end(self, logs=None):
        self._evaluate()

    def _evaluate(self):
        values = self.trainer.evaluate(self._split.x, self._split.y, self._batch_size)
        self._write({"step": self.trainer.step, "kind": "eval", **values})
