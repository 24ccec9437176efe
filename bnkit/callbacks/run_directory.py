"""What `model.fit` measures, kept where `bnkit.report` and TensorBoard find it."""

import pathlib
from datetime import datetime, timezone

import keras
import tensorflow as tf

import bnkit
from bnkit.callbacks.base import Callback
from bnkit.callbacks.tensorboard import TensorBoard
from bnkit.store import RunDir


class RunDirectory(Callback):
    """Writes a run directory from `model.fit`, as bnkit's own runs have one.

    Hand `write` to the probes, and the object itself to `model.fit`:

        run = bnkit.callbacks.RunDirectory("runs/mine/resnet", norm="bn")
        landscape = bnkit.callbacks.Landscape(batch=(x0, y0), write=run.write)
        model.fit(x, y, callbacks=[run, landscape])

    The loss and accuracy of every epoch, which Keras averages over its steps, are recorded at the
    epoch's last step, those of the validation data at the step after it.

    Args:
        path: `RUNS/STUDY/RUN`; what an earlier run left there is replaced.
        norm: What the arm of the comparison is called in figures; the name of the run by default.
        seed: Tells runs of one arm apart.
    """

    def __init__(self, path, *, norm=None, seed=0):
        super().__init__()
        self._path = pathlib.Path(path).resolve()
        self._norm = norm or self._path.name
        self._seed = seed
        self._directory = None
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
        self._directory = RunDir(self._path)
        description = self._description()
        self._directory.start(description)
        self._board = TensorBoard(self._directory.tensorboard)
        self._board.write_settings(description["run"], description["settings"])

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        names = ("loss", "accuracy")
        for kind, step, prefix in (("train", self._steps - 1, ""), ("eval", self._steps, "val_")):
            values = {name: logs[prefix + name] for name in names if prefix + name in logs}
            if values:
                self.write({"step": step, "kind": kind, **values})
        self._directory.set_status("running", steps=self._steps)

    def on_train_end(self, logs=None):
        self._directory.set_status("done", steps=self._steps)
        self._board.write_outcome(self._path)
        self._board.close()
        self._directory.close()
        self._directory = None

    def _description(self):
        optimizer = self.model.optimizer
        return {
            "study": self._path.parent.name,
            "run": self._path.name,
            "settings": {
                "norm": self._norm,
                "lr": float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
                "seed": self._seed,
                "model": self.model.name,
                "optimizer": type(optimizer).__name__,
            },
            "command": [],
            "versions": {
                "bnkit": bnkit.__version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
            "parameters": self.model.count_params(),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
