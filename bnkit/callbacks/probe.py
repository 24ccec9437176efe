"""What all probes share that are taken while a model trains."""

import tensorflow as tf

from bnkit.callbacks.recorder import Recorder
from bnkit.callbacks.steps import Steps, learning_rate
from bnkit.data import as_batch
from bnkit.probes import CompiledLoss
from bnkit.probes.objective import check_statistics, loss_scale, precision, trained_by
from bnkit.schedules import At, Either, Every

# What a record says of how it was measured, see `ProbeCallback`.
MEASURED_HOW = ("statistics", "added_losses")


class ProbeCallback(Recorder):
    """A probe that is taken on a schedule, before or after the update of a step.

    A step is the number of updates that the optimizer has made, so that a second `model.fit` goes
    on where the first has ended (see `Steps`). Handed another model, the callback begins afresh.

    Args:
        every: Steps between two measurements; the first is at step 0.
        at: Further steps to measure at.
        batch: A fixed batch to measure on: `(x, y)` or `(x, y, sample_weight)`, of one or many
            inputs and outputs, or a data set of which the first batch is taken (see
            `bnkit.data.as_batch`). By default the step's own training batch, which only bnkit's
            `Trainer` has.
        loss: `loss(y_true, y_pred)`, the mean loss of a batch, to measure instead of the one that
            is trained; needed for a model with a `train_step` of its own.
        statistics: "batch" to measure in training mode, where normalisations use the statistics
            of the batch, as the study does; "moving" for inference mode.
        added_losses: Whether losses that layers add (`add_loss`, regularizers) are part of what is
            measured in `model.fit`.
        write: Called with each record, a dict with `step` and `kind`.

    Attributes:
        records: All records so far.

    Raises:
        ValueError: For a batch or statistics that are not valid; at the start of `model.fit`
            without a `batch`, with several steps per execution, where no single update can be
            seen, or for a model that cannot be measured.
    """

    @classmethod
    def from_settings(cls, settings, **options):
        """The callback as a run of these `bnkit.Settings` has it; `options` as for the class."""
        return cls(**options)

    @classmethod
    def applies_to(cls, model):
        """Whether there is anything to measure in a model."""
        return True

    def __init__(
        self,
        *,
        every=25,
        at=(),
        batch=None,
        loss=None,
        statistics="batch",
        added_losses=False,
        write=None,
    ):
        super().__init__(Either(Every(every), At(at)))
        if added_losses and loss is not None:
            raise ValueError(
                "`added_losses` are those beside the model's own loss: with a `loss` there are "
                "none. Received: both"
            )
        self.statistics = check_statistics(statistics)
        self.added_losses = added_losses
        self._fixed_batch = None if batch is None else _without_none(as_batch(batch))
        self._loss = loss
        self._write = write or (lambda record: None)
        self._begin_afresh()

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

    @property
    def measured_model(self):
        """What `measure` looks at: the model that is trained, or the trainer's twin of it."""
        return self.model if self._twin is None else self._twin

    @property
    def _twin(self):
        return None if self.trainer is None else self.trainer.twin

    # What Keras and the trainer call.

    @property
    def part(self):
        """The first measurement is spent on compiling."""
        return self.kind if self._taken else "compile"

    def set_model(self, model):
        if self.model is not None and model is not self.model:
            self._begin_afresh()
        super().set_model(model)

    def on_train_begin(self, logs=None):
        self._taken = False
        if self.first_learning_rate is None:
            self.first_learning_rate = self.learning_rate
        if self._fixed_batch is None:
            self._check(self.trainer is not None, "`batch=(x, y)`", "batch=None")
            loss_fn = self._loss or self.trainer.loss_fn
            self._compiled = self.trainer.on_replicas(
                lambda batch, *arguments: self._measure(loss_fn, batch, *arguments)
            )
            return
        self._batch = self._fixed_batch
        loss_fn = self._loss or (self.trainer.loss_fn if self.trainer else self._loss_of_fit())
        size = len(self._batch)
        self._compiled = tf.function(
            lambda *arguments: self._measure(loss_fn, arguments[:size], *arguments[size:]),
            autograph=False,
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

    def traces(self):
        if self._fixed_batch is not None:
            return []  # done at the start
        arguments = (*self.step_batch(), *self.example())
        return [(self._compiled, lambda: self._compiled.get_concrete_function(*arguments))]

    def on_train_batch_begin(self, batch, logs=None):
        in_fit = self.trainer is None
        step = self._steps.at_batch_begin(self.model) if in_fit else self.trainer.step
        if in_fit and not self._is_begun:
            self._take_over()
        is_due = self.when.next(step) == step != self._recorded
        self._step = step if is_due else None
        if is_due:
            if self._fixed_batch is None:
                self._batch = self.step_batch()
            self._measured = []
            self.before_update(self._batch)

    def on_train_batch_end(self, batch, logs=None):
        in_fit = self.trainer is None
        made = self._steps.at_batch_end(self.model) if in_fit else self.trainer.step
        if in_fit and self._steps.by_batches:
            self.first_learning_rate = float("nan")
        if self._step is not None and made > self._step:
            self.after_update(self._batch)
            self._keep()

    def on_train_end(self, logs=None):
        self._keep()

    # What the probes are made of.

    @property
    def optimizer(self):
        return self.model.optimizer if self.trainer is None else self.trainer.optimizer

    @property
    def learning_rate(self):
        """That of the next update: to be read before the update of the step.

        NaN once it is known that the model's optimizer makes no updates.
        """
        return float("nan") if self._steps.by_batches else learning_rate(self.optimizer)

    def take(self, batch, *arguments):
        """The probe's values, name -> nested list of numbers."""
        if not self._taken:
            if self.trainer is not None:
                self.trainer.tracing.wait(self._compiled)
            # Ahead of the call: TensorFlow takes many first calls for one function's retracing.
            self._compiled.get_concrete_function(*batch, *arguments)
            self._taken = True
        if self._twin is not None:
            for own, trained in zip(self._twin.variables, self.model.variables, strict=True):
                own.assign(trained.value)
        measured = self._compiled(*batch, *arguments)
        return tf.nest.map_structure(lambda value: value.numpy().tolist(), measured)

    def record(self, **values):
        """One record of this step, with what it says of how it was measured.

        In `model.fit` it is kept and written once the step has made its update. A loss-scaled
        optimizer may leave that out, where the scaled gradient overflows as that of the probe may
        have: the next batch is then the same step again, with a smaller scale.
        """
        how = {name: getattr(self, name) for name in MEASURED_HOW} | self._precision()
        self._measured.append({"step": self._step, "kind": self.kind, **values, **how})
        if self.trainer is not None:
            self._keep()

    def _measure(self, loss_fn, batch, *arguments):
        with trained_by(self._scaling_optimizer()):
            return self.measure(loss_fn, batch, *arguments)

    def _scaling_optimizer(self):
        """The optimizer whose loss scale is that of the measurement; None for a twin."""
        return self.optimizer if self._twin is None else None

    def _precision(self):
        """What the values were computed in, and with which scale of the loss in float16."""
        found = {"precision": precision(self.measured_model)}
        if found["precision"] == "float16":
            with trained_by(self._scaling_optimizer()):
                scale = loss_scale(self.measured_model)
            found["loss_scale"] = 1.0 if scale is None else float(scale)
        return found

    def _keep(self):
        for record in self._measured:
            self._recorded = record["step"]
            self.records.append(record)
            self._write(record)
        self._measured = []
        self._forget()

    def _take_over(self):
        """What the run that the records go to had measured before, see `RunDirectory.earlier`."""
        self._is_begun = True
        earlier = getattr(getattr(self._write, "__self__", None), "earlier", None)
        if earlier and not self.records:
            self.restore(earlier(self.kinds))

    def _begin_afresh(self):
        self.records = []
        self._measured = []
        self._is_begun = False
        self._steps = Steps()
        self._step = self._recorded = None
        self.first_learning_rate = None
        self._taken = False

    def _loss_of_fit(self):
        steps = self.model.steps_per_execution
        self._check(steps == 1, "`steps_per_execution=1`", f"steps_per_execution={steps}")
        return CompiledLoss(self.model, added_losses=self.added_losses)

    def _check(self, fulfilled, need, received):
        if not fulfilled:
            name = type(self).__name__
            raise ValueError(f"{name} needs {need} in `model.fit`. Received: {received}")


def _without_none(batch):
    """`(x, y)`, or `(x, y, sample_weight)` where there are sample weights."""
    return batch if batch[2] is not None else batch[:2]


def tensors(measured):
    """The tensors of a named tuple, name -> tensor."""
    return {name: value for name, value in measured._asdict().items() if tf.is_tensor(value)}
