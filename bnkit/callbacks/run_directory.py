"""What `model.fit` measures, kept where `bnkit.report` and TensorBoard find it."""

import logging
import math
import pathlib
import re
import weakref

from bnkit import store
from bnkit.callbacks.base import Callback
from bnkit.callbacks.probe import MEASURED_HOW
from bnkit.callbacks.steps import Steps, learning_rate, unwrapped, updates
from bnkit.callbacks.tensorboard import TensorBoard

_log = logging.getLogger(__name__)

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
    metric whose name ends in "accuracy" or "acc". A second `model.fit` adds to the first.

    A model whose optimizer has made updates already, such as one that Keras's `BackupAndRestore`
    has brought back after a crash, goes on with the run that is on disk: what was measured before
    its step stays, and the probes that write here go on from it. A fresh model where a run has been
    measured is refused at its first batch.

    Args:
        path: `RUNS/STUDY/RUN`.
        norm: What figures call the arm of the comparison; the name of the run by default.
        seed: Tells runs of one arm apart, and pairs runs of different arms.
        lr: The learning rate that the run is named by; by default that of the first update.
        classes: Number of classes, from which verdicts and warnings know the accuracy of guessing;
            by default as many as the model has outputs, if its loss is a cross-entropy.
        overwrite: Whether a fresh model may replace a run that has been measured.

    Raises:
        ValueError: At the start of `model.fit` with several steps per execution, which would count
            as one; at the first batch, for a fresh model where a run has been measured, or a
            trained one where another model has; and for records of one kind that were not measured
            alike.
    """

    def __init__(self, path, *, norm=None, seed=0, lr=None, classes=None, overwrite=False):
        super().__init__()
        self._path = pathlib.Path(path).resolve()
        self._norm = norm or self._path.name
        self._seed = seed
        self._lr = lr
        self._classes = classes
        self._overwrite = overwrite
        self._directory = None
        self._begin_afresh()

    def write(self, record):
        """Writes one record, a dict with `step` and `kind`."""
        self._begin()
        how = {name: record[name] for name in MEASURED_HOW if name in record}
        known = self._measured_how.setdefault(record["kind"], how)
        if how != known:
            raise ValueError(
                f"Records of kind {record['kind']!r} in one run must be measured alike, with "
                f"{known}. Received: {how}"
            )
        self._directory.append(record)
        self._board.write(record)

    def earlier(self, kinds):
        """Records of some kinds that the run had on disk when this object went on with it."""
        self._begin()
        return [record for record in self._earlier if record["kind"] in kinds]

    def set_model(self, model):
        if self.model is not None and model is not self.model:
            self._begin_afresh()
        super().set_model(model)

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
        if self._is_begun:
            self._board = TensorBoard(self._directory.tensorboard)

    def on_train_batch_begin(self, batch, logs=None):
        self._begin()
        self._steps.at_batch_begin(self.model)

    def on_train_batch_end(self, batch, logs=None):
        self._made = self._steps.at_batch_end(self.model)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        self._last_loss = logs.get("loss", self._last_loss)
        for kind, step, prefix in (("train", self._made - 1, ""), ("eval", self._made, "val_")):
            values = _loss_and_accuracy(logs, prefix)
            self._has_accuracy = self._has_accuracy or "accuracy" in values
            if values:
                self.write({"step": step, "kind": kind, **values})
        self._directory.set_status("running", steps=self._made)

    def on_train_end(self, logs=None):
        self._begin()
        if math.isfinite(self._last_loss):
            self._directory.set_status("done", steps=self._made)
        else:
            reason = f"the loss of the last epoch is {self._last_loss}"
            self._directory.set_status("diverged", reason=reason, steps=self._made)
        self._board.write_outcome(self._path)
        lacking = self._lacking()
        if lacking:
            _log.info("no verdict on %s: it lacks %s", self._path.name, " and ".join(lacking))
        self.close()

    def _lacking(self):
        """What a verdict on the run would need and cannot find, in words."""
        lacking = []
        if self._classes is None and not _classes_of(self.model):
            lacking.append("the number of classes (`classes=`)")
        if not self._has_accuracy:
            lacking.append('the accuracy (`metrics=["accuracy"]` in `compile`)')
        return lacking

    def close(self):
        """Releases the directory; needed after an interrupt, as Keras ends no training then."""
        if self._directory is not None:
            if self._board is not None:
                self._board.close()
            self._directory.close()
            self._directory = self._board = None
        _OPEN.pop(self._path, None)

    def _begin_afresh(self):
        self._board = None
        self._steps = Steps()
        self._made = 0
        self._last_loss = 0.0
        self._earlier = []
        self._measured_how = {}
        self._is_begun = False
        self._has_accuracy = False

    def _begin(self):
        """At the first batch, when a model that is to go on has been restored."""
        if self._directory is None:
            raise ValueError(
                "`RunDirectory` must be among the callbacks of `model.fit`. Received: a probe that "
                f"writes to {self._path}, which is not open"
            )
        if self._is_begun:
            return
        made = updates(self.model.optimizer)
        description = self._description()
        has_records = self._directory.metrics_length() > 0
        try:
            if has_records and made:
                self._go_on(description, made)
            else:
                self._check_may_start(has_records)
                self._directory.start(description)
        except Exception:
            self.close()
            raise
        self._board = TensorBoard(self._directory.tensorboard)
        self._board.restore(self._earlier)
        self._board.write_settings(description["run"], description["settings"])
        self._is_begun = True

    def _check_may_start(self, has_records):
        if has_records and not self._overwrite:
            raise ValueError(
                f"{self._path} holds the records of another run, and this model has not been "
                "trained: it cannot go on with them. Use `overwrite=True` to replace them, or "
                f"another path. Received: model {self.model.name!r}"
            )

    def _go_on(self, description, made):
        """Keeps what was measured before the model's step."""
        found = self._directory.description or {}
        same = ("norm", "seed", "model")
        ours, theirs = (
            [one.get("settings", {}).get(name) for name in same] + [one.get("parameters")]
            for one in (description, found)
        )
        if ours != theirs:
            raise ValueError(
                f"{self._path} holds another run, of norm, seed, model and parameters {theirs}. "
                f"Use another path. Received: {ours}, trained for {made} steps"
            )
        # An evaluation sees the weights after the update of the step before.
        self._directory.keep_records(
            lambda record: record["step"] < made + (record["kind"] == "eval")
        )
        self._earlier = self._directory.records()
        for record in self._earlier:
            how = {name: record[name] for name in MEASURED_HOW if name in record}
            self._measured_how.setdefault(record["kind"], how)
        self._directory.set_status("running", steps=made)

    def _description(self):
        optimizer = self.model.optimizer
        settings = {
            "norm": self._norm,
            # float32 has seven digits.
            "lr": float(f"{learning_rate(optimizer):.7g}") if self._lr is None else self._lr,
            "seed": self._seed,
            # Keras numbers the models of a process: without its number the name is the same.
            "model": re.sub(r"_\d+$", "", self.model.name),
            "optimizer": type(unwrapped(optimizer)).__name__.lower(),
        }
        classes = self._classes or _classes_of(self.model)
        return store.describe(
            self._path,
            settings,
            data={"classes": classes} if classes else {},
            parameters=self.model.count_params(),
            train_mean_over="epoch",
        )


def _classes_of(model):
    """As many as the model has outputs, if it has one output and a cross-entropy; else None."""
    loss = getattr(model, "loss", None)
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or not shape or not isinstance(shape[-1], int):
        return None
    if str(name).endswith("categorical_crossentropy"):
        return shape[-1]
    return 2 if name == "binary_crossentropy" and shape[-1] == 1 else None


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
