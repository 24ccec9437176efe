"""What `model.fit` measures, kept where `bnkit.report` and TensorBoard find it."""

import math
import pathlib
import re
import weakref

import keras

from bnkit import store
from bnkit.callbacks.base import Callback
from bnkit.callbacks.tensorboard import TensorBoard

# The callback that holds each run directory: an interrupted `model.fit` does not release it.
_OPEN = weakref.WeakValueDictionary()


class RunDirectory(Callback):
    """Writes a run directory from `model.fit`, as bnkit's own runs have one.

    Hand `write` to the probes, and the object itself to `model.fit`:

        run = bnkit.callbacks.RunDirectory("runs/mine/resnet", norm="bn", classes=10)
        landscape = bnkit.callbacks.Landscape(batch=(x0, y0), write=run.write)
        model.fit(x, y, callbacks=[run, landscape])

    The loss and accuracy of every epoch, which Keras averages over its steps, are recorded at the
    epoch's last step, those of the validation data at the step after it. Accuracy is the first
    metric whose name ends in "accuracy" or "acc". A second `model.fit` with the same object adds to
    the first.

    Args:
        path: `RUNS/STUDY/RUN`; what an earlier object left there is replaced.
        norm: What figures call the arm of the comparison; the name of the run by default.
        seed: Tells runs of one arm apart, and pairs runs of different arms.
        classes: Number of classes, from which verdicts and warnings know the accuracy of guessing.

    Raises:
        ValueError: At the start of `model.fit` with several steps per execution: they would count
            as one.
    """

    def __init__(self, path, *, norm=None, seed=0, classes=None):
        super().__init__()
        self._path = pathlib.Path(path).resolve()
        self._norm = norm or self._path.name
        self._seed = seed
        self._classes = classes
        self._directory = None
        self._is_begun = False
        self._last_loss = 0.0
        self._steps = 0

    def write(self, record):
        """Writes one record, a dict with `step` and `kind`."""
        if self._directory is None:
            raise ValueError(
                "`RunDirectory` must be among the callbacks of `model.fit`. Received: a record of "
                f"kind {record['kind']!r} before it was called"
            )
        self._directory.append(record)
        self._board.write(record)

    def on_train_begin(self, logs=None):
        steps = self.model.steps_per_execution
        if steps != 1:
            raise ValueError(
                "RunDirectory needs `steps_per_execution=1` in `model.fit`. "
                f"Received: steps_per_execution={steps}"
            )
        if self._path in _OPEN:
            _OPEN[self._path].close()
        self._directory = store.RunDir(self._path)
        _OPEN[self._path] = self
        description = self._description()
        if not self._is_begun:
            self._directory.start(description)
        self._board = TensorBoard(self._directory.tensorboard)
        if not self._is_begun:
            self._board.write_settings(description["run"], description["settings"])
        self._is_begun = True

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        self._last_loss = logs.get("loss", self._last_loss)
        for kind, step, prefix in (("train", self._steps - 1, ""), ("eval", self._steps, "val_")):
            values = _loss_and_accuracy(logs, prefix)
            if values:
                self.write({"step": step, "kind": kind, **values})
        self._directory.set_status("running", steps=self._steps)

    def on_train_end(self, logs=None):
        if math.isfinite(self._last_loss):
            self._directory.set_status("done", steps=self._steps)
        else:
            reason = f"the loss of the last epoch is {self._last_loss}"
            self._directory.set_status("diverged", reason=reason, steps=self._steps)
        self._board.write_outcome(self._path)
        self.close()

    def close(self):
        """Releases the directory; needed after an interrupt, as Keras ends no training then."""
        if self._directory is not None:
            self._board.close()
            self._directory.close()
            self._directory = None
        _OPEN.pop(self._path, None)

    def _description(self):
        optimizer = self.model.optimizer
        settings = {
            "norm": self._norm,
            # float32 has seven digits.
            "lr": float(f"{float(keras.ops.convert_to_numpy(optimizer.learning_rate)):.7g}"),
            "seed": self._seed,
            # Keras numbers the models of a process: without its number the name is the same.
            "model": re.sub(r"_\d+$", "", self.model.name),
            "optimizer": type(optimizer).__name__.lower(),
        }
        return store.describe(
            self._path,
            settings,
            data={"classes": self._classes} if self._classes else {},
            parameters=self.model.count_params(),
            train_mean_over="epoch",
        )


def _loss_and_accuracy(logs, prefix):
    """The `loss` and the `accuracy` among the logs of an epoch whose names have the prefix."""
    own = {
        name.removeprefix(prefix): value
        for name, value in logs.items()
        if name.startswith(prefix) and (prefix or not name.startswith("val_"))
    }
    values = {"loss": own["loss"]} if "loss" in own else {}
    accuracies = [value for name, value in own.items() if name.endswith(("accuracy", "acc"))]
    return values | ({"accuracy": accuracies[0]} if accuracies else {})
