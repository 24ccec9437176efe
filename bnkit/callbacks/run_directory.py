"""What `model.fit` measures, kept where `bnkit.report` and TensorBoard find it."""

import math
import pathlib
import re
import weakref
from datetime import datetime, timezone

import keras
import tensorflow as tf

import bnkit
from bnkit.callbacks.base import Callback
from bnkit.callbacks.tensorboard import TensorBoard
from bnkit.store import RunDir

# What has a run directory open: a fit that was interrupted closes nothing.
_OPEN = weakref.WeakValueDictionary()


class RunDirectory(Callback):
    """Writes a run directory from `model.fit`, as bnkit's own runs have one.

    Hand `write` to the probes, and the object itself to `model.fit`:

        run = bnkit.callbacks.RunDirectory("runs/mine/resnet", norm="bn", classes=10)
        landscape = bnkit.callbacks.Landscape(batch=(x0, y0), write=run.write)
        model.fit(x, y, callbacks=[run, landscape])

    The loss and accuracy of every epoch, which Keras averages over its steps, are recorded at the
    epoch's last step, those of the validation data at the step after it; accuracy is the first
    metric whose name ends so. A second `model.fit` with the same object adds to the first.

    Args:
        path: `RUNS/STUDY/RUN`; what an earlier object left there is replaced.
        norm: What the arm of the comparison is called in figures; the name of the run by default.
        seed: Tells runs of one arm apart, and pairs those of different arms.
        classes: Number of classes, from which verdicts and warnings know what guessing is.

    Raises:
        ValueError: at the start of `model.fit` with several steps per execution, which would be
            counted as one.
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
        self._directory = RunDir(self._path)
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
        """Lets others at the directory; after an interrupt `on_train_end` does not come."""
        if self._directory is not None:
            self._board.close()
            self._directory.close()
            self._directory = None
        _OPEN.pop(self._path, None)

    def _description(self):
        optimizer = self.model.optimizer
        return {
            "study": self._path.parent.name,
            "run": self._path.name,
            "settings": {
                "norm": self._norm,
                # float32 has seven digits.
                "lr": float(f"{float(keras.ops.convert_to_numpy(optimizer.learning_rate)):.7g}"),
                "seed": self._seed,
                # Keras counts the models of a process: they are the same but for the number.
                "model": re.sub(r"_\d+$", "", self.model.name),
                "optimizer": type(optimizer).__name__.lower(),
            },
            "command": [],
            "versions": {
                "bnkit": bnkit.__version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
            "train_mean_over": "epoch",
            "data": {"classes": self._classes} if self._classes else {},
            "parameters": self.model.count_params(),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }


def _loss_and_accuracy(logs, prefix):
    """Of the logs of an epoch, those with the prefix: name -> value."""
    own = {
        name.removeprefix(prefix): value
        for name, value in logs.items()
        if name.startswith(prefix) and (prefix or not name.startswith("val_"))
    }
    values = {"loss": own["loss"]} if "loss" in own else {}
    accuracies = [value for name, value in own.items() if name.endswith(("accuracy", "acc"))]
    return values | ({"accuracy": accuracies[0]} if accuracies else {})
