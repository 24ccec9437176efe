"""What all probes share that are taken while a model trains."""

import keras
import tensorflow as tf

from bnkit import kinds
from bnkit.callbacks.base import Callback
from bnkit.callbacks.compiled import CompiledLoss
from bnkit.schedules import Every


class ProbeCallback(Callback):
    """A probe that is taken on a schedule, before or after the update of a step.

    Args:
        every: Steps between two measurements; the first is at step 0.
        batch: A fixed `(x, y)` to measure on, as the model takes it, of one or many inputs and
            outputs. By default the step's own training batch, which only bnkit's `Trainer` has.
        write: Called with each record, a dict with `step` and `kind`.

    Attributes:
        records: All records so far.

    Raises:
        ValueError: at the start of `model.fit` without a `batch`, with several steps per
            execution, where no single update can be seen, or for a model that cannot be measured.
    """

    kind = None

    @classmethod
    def from_settings(cls, settings, **options):
        """The callback as a run of these `bnkit.Settings` has it; `options` as for the class."""
        return cls(**options)

    @classmethod
    def applies_to(cls, model):
        """Whether there is anything to measure in a model."""
        return True

    @property
    def kinds(self):
        """Names of all kinds of records that it writes, the probe's own first."""
        return tuple(kind.name for kind in kinds.of_probe(self.kind))

    def __init__(self, *, every=25, batch=None, write=None):
        super().__init__(Every(every))
        self.records = []
        self._fixed_batch = batch
        self._write = write or (lambda record: None)
        self._steps_seen = 0
        self._step = None
        self._taken = False

    # The hooks.

    def measure(self, loss_fn, batch, *arguments):
        """What is recorded, name -> tensor; compiled, on each replica's share of the batch."""
        raise NotImplementedError

    def example(self):
        """What `measure` is called with after the batch: arguments of the right form."""
        return ()

    def step_batch(self):
        """The batch to measure on at this step of a `Trainer`."""
        return self.trainer.batch()

    def before_update(self, batch):
        """At a step of the schedule, with the weights of that step."""

    def after_update(self, batch):
        """The same step, with the weights after its update."""

    # What users look at.

    def frame(self, kind=None):
        """The records as a tidy DataFrame, as `bnkit.load_runs` gives those of a run.

        `kind`: for a probe with records of several kinds; the probe's first by default.
        """
        from bnkit.report import frames

        return frames.frame([self._run()], kind or self.kind)

    def plot(self, figure=None):
        """A matplotlib figure of the records.

        Args:
            figure: One of the names in `figures`; the first by default.

        Raises:
            ValueError: for another name.
        """
        from bnkit.report import frames

        entries = self._entries()
        figure = next(iter(entries)) if figure is None else figure
        if figure not in entries:
            valid = ", ".join(entries)
            raise ValueError(f"`figure` must be one of {valid}. Received: figure={figure!r}")
        entry = entries[figure]
        return entry.draw(*[frames.frame([self._run()], kind) for kind in entry.kinds])

    # What Keras and the trainer call.

    @property
    def part(self):
        """The first measurement is spent on compiling."""
        return self.kind if self._taken else "compile"

    def restore(self, records):
        """Takes over what an interrupted run has recorded of this kind."""
        self.records = list(records)

    def on_train_begin(self, logs=None):
        if self._fixed_batch is None:
            self._check(self.trainer is not None, "`batch=(x, y)`", "batch=None")
            loss_fn = self.trainer.loss_fn
            self._compiled = self.trainer.on_replicas(
                lambda batch, *arguments: self.measure(loss_fn, batch, *arguments)
            )
            return
        self._batch = tf.nest.map_structure(_as_fit_does, tuple(self._fixed_batch))
        self._check(len(self._batch) == 2, "`batch=(x, y)`", f"{len(self._batch)} entries")
        loss_fn = self.trainer.loss_fn if self.trainer else self._loss_of_fit()
        self._compiled = tf.function(
            lambda x, y, *arguments: self.measure(loss_fn, (x, y), *arguments), autograph=False
        )
        try:
            if not self.model.built:
                with self.model.distribute_strategy.scope():
                    self.model(self._batch[0], training=False)
            self._compiled.get_concrete_function(*self._batch, *self.example())
        except Exception as error:
            # Anything may go wrong in a user's model; better now than after an hour of training.
            raise ValueError(
                f"{type(self).__name__} cannot measure the model {self.model.name!r} on the given "
                f"batch: {type(error).__name__}: {error}"
            ) from error

    def on_train_batch_begin(self, batch, logs=None):
        step = self._steps_seen if self.trainer is None else self.trainer.step
        self._step = step if self.when.next(step) == step else None
        if self._step is not None:
            if self._fixed_batch is None:
                self._batch = self.step_batch()
            self.before_update(self._batch)

    def on_train_batch_end(self, batch, logs=None):
        self._steps_seen += 1
        if self._step is not None:
            self.after_update(self._batch)

    # What the probes are made of.

    @property
    def learning_rate(self):
        optimizer = self.model.optimizer if self.trainer is None else self.trainer.optimizer
        return float(keras.ops.convert_to_numpy(optimizer.learning_rate))

    def take(self, batch, *arguments):
        """The probe's values, name -> nested list of numbers."""
        if not self._taken:
            # Ahead of the call: TensorFlow takes many first calls for one function's retracing.
            self._compiled.get_concrete_function(*batch, *arguments)
            self._taken = True
        measured = self._compiled(*batch, *arguments)
        return tf.nest.map_structure(lambda value: value.numpy().tolist(), measured)

    def record(self, **values):
        """Keeps and writes one record of this step."""
        record = {"step": self._step, "kind": self.kind, **values}
        self.records.append(record)
        self._write(record)

    def _loss_of_fit(self):
        steps = self.model.steps_per_execution
        self._check(steps == 1, "`steps_per_execution=1`", f"steps_per_execution={steps}")
        return CompiledLoss(self.model)

    def _check(self, fulfilled, need, received):
        if not fulfilled:
            name = type(self).__name__
            raise ValueError(f"{name} needs {need} in `model.fit`. Received: {received}")

    def _entries(self):
        """Name -> entry, the report's figures that can be drawn from these records alone."""
        from bnkit.report import figures

        own = set(self.kinds)
        return {entry.name: entry for entry in figures.FIGURES if set(entry.kinds) <= own}

    def _run(self):
        """The records as a run that the report reads."""
        from bnkit.report.runs import Run

        if self.model is None:
            raise ValueError(
                f"{type(self).__name__} has no records yet: hand it to `model.fit` first. "
                "Received: no model"
            )
        settings = {"norm": self.model.name, "lr": self.learning_rate, "seed": 0}
        records = {}
        for number, record in enumerate(self.records, start=1):
            records.setdefault(record["kind"], []).append((number, record))
        description = {"study": "model.fit", "run": self.model.name, "settings": settings}
        return Run(None, description, {}, records)


def _as_fit_does(values):
    """An array as `model.fit` hands it to the model: floating numbers in Keras's own type."""
    values = tf.convert_to_tensor(values)
    return tf.cast(values, keras.config.floatx()) if values.dtype.is_floating else values


def tensors(measured):
    """The tensors of a named tuple, name -> tensor."""
    return {name: value for name, value in measured._asdict().items() if tf.is_tensor(value)}
