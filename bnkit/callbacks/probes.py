"""The probes of the landscape, taken while a model trains."""

import keras
import tensorflow as tf

from bnkit import probes
from bnkit.callbacks.base import Callback
from bnkit.probes.objective import read
from bnkit.schedules import Every
from bnkit.settings import DEFAULTS


class ProbeCallback(Callback):
    """A probe that is taken on a schedule, before or after the update of a step.

    Args:
        every: Steps between two measurements; the first is at step 0.
        batch: A fixed `(x, y)` to measure on, as the model takes it. By default the step's own
            training batch, which only bnkit's `Trainer` can give.
        write: Called with each record, a dict with `step` and `kind`.

    Attributes:
        records: All records so far.

    Raises:
        ValueError: at the start of `model.fit` without a `batch`, or with several steps per
            execution, where no single update can be seen.
    """

    kind = None

    def __init__(self, *, every=25, batch=None, write=None):
        super().__init__(Every(every))
        self.records = []
        self._fixed_batch = batch
        self._write = write or (lambda record: None)
        self._steps_seen = 0
        self._step = None

    @property
    def part(self):
        """The first measurement is spent on compiling."""
        return self.kind if self.records else "compile"

    def measure(self, loss_fn, batch, *arguments):
        """The record's values, name -> tensor; compiled, on each replica's share of the batch."""
        raise NotImplementedError

    def before_update(self, batch):
        """At a step of the schedule, with the weights of that step."""

    def after_update(self, batch):
        """The same step, with the weights after its update."""

    def on_train_begin(self, logs=None):
        if self._fixed_batch is None:
            self._check(self.trainer is not None, "`batch=(x, y)`", "batch=None")
            loss_fn = self.trainer.loss_fn
            self._compiled = self.trainer.on_replicas(
                lambda batch, *arguments: self.measure(loss_fn, batch, *arguments)
            )
            return
        if self.trainer is None:
            steps = self.model.steps_per_execution
            self._check(steps == 1, "`steps_per_execution=1`", f"steps_per_execution={steps}")
            loss_fn = _compiled_loss(self.model)
        else:
            loss_fn = self.trainer.loss_fn
        self._compiled = tf.function(
            lambda x, y, *arguments: self.measure(loss_fn, (x, y), *arguments), autograph=False
        )

    def on_train_batch_begin(self, batch, logs=None):
        step = self._steps_seen if self.trainer is None else self.trainer.step
        self._step = step if self.when.next(step) == step else None
        if self._step is not None:
            self._batch = self._fixed_batch or self.trainer.batch()
            self.before_update(self._batch)

    def on_train_batch_end(self, batch, logs=None):
        self._steps_seen += 1
        if self._step is not None:
            self.after_update(self._batch)

    def record(self, batch, *arguments, **values):
        """Takes the probe, and keeps and writes its record."""
        measured = self._compiled(*batch, *arguments)
        values |= {name: value.numpy().tolist() for name, value in measured.items()}
        record = {"step": self._step, "kind": self.kind, **values}
        self.records.append(record)
        self._write(record)

    def _check(self, fulfilled, need, received):
        if not fulfilled:
            name = type(self).__name__
            raise ValueError(f"{name} needs {need} in `model.fit`. Received: {received}")


class Landscape(ProbeCallback):
    """Loss and gradient along the gradient, at the weights of the step (paper Fig 4).

    Records: `{step, kind: "landscape", loss, gradient_norm, step_sizes, losses,
    gradient_distances, smoothness}`, see `bnkit.probes.landscape`.

    Args:
        step_sizes: Grid of `s` in `theta - s g`; by default the study's, 0.05 to 0.4.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "landscape"
    STEP_SIZES = DEFAULTS["vgg11"]["step_sizes"]

    def __init__(self, step_sizes=STEP_SIZES, **kwargs):
        super().__init__(**kwargs)
        self.step_sizes = [float(s) for s in step_sizes]

    def measure(self, loss_fn, batch):
        return probes.landscape(self.model, loss_fn, batch, self.step_sizes)._asdict()

    def before_update(self, batch):
        self.record(batch, step_sizes=self.step_sizes)


class RandomLandscape(ProbeCallback):
    """Loss and gradient along random directions, at the weights of the step.

    Records, one for each direction: those of `Landscape`, and `direction`, its number from 0. The
    directions follow from the seed and the step, and differ between steps.

    Args:
        step_sizes: As for `Landscape`.
        directions: Number of directions at each measurement.
        seed: An integer.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "random_landscape"

    def __init__(self, step_sizes=Landscape.STEP_SIZES, *, directions=1, seed=0, **kwargs):
        super().__init__(**kwargs)
        if directions < 1:
            raise ValueError(f"`directions` must be >= 1. Received: directions={directions!r}")
        self.step_sizes = [float(s) for s in step_sizes]
        self.directions = directions
        self._seed = seed

    def measure(self, loss_fn, batch, seed):
        return probes.landscape(
            self.model, loss_fn, batch, self.step_sizes, "random", seed=seed
        )._asdict()

    def before_update(self, batch):
        for direction in range(self.directions):
            seed = tf.random.experimental.stateless_fold_in([self._seed, self._step], direction)
            self.record(batch, seed, direction=direction, step_sizes=self.step_sizes)


class InternalCovariateShift(ProbeCallback):
    """Change of each layer's gradient by the real update of the layers before it (paper Fig 3).

    Records: `{step, kind: "ics", layers, l2, cosine, gradient_norm}`, see
    `bnkit.probes.internal_covariate_shift`.

    Args:
        every, batch, write: See `ProbeCallback`.
    """

    kind = "ics"

    def measure(self, loss_fn, batch, weights, state, next_weights):
        measured = probes.internal_covariate_shift(
            self.model, loss_fn, batch, next_weights, weights=weights, state=state
        )
        return {name: value for name, value in measured._asdict().items() if name != "layers"}

    def before_update(self, batch):
        self._weights = read(self.model.trainable_variables)
        self._state = read(self.model.non_trainable_variables)

    def after_update(self, batch):
        names = [stage.name for stage in probes.stages(self.model)]
        next_weights = read(self.model.trainable_variables)
        self.record(batch, self._weights, self._state, next_weights, layers=names)
        self._weights = self._state = None


def _compiled_loss(model):
    """The loss that a model was compiled with, as a scalar for a batch."""
    loss = model.loss
    if isinstance(loss, keras.losses.Loss):
        return loss
    if not isinstance(loss, str) and not callable(loss):
        raise ValueError(
            "The model must be compiled with one loss: a name, a function or a Keras loss. "
            f"Received: loss={loss!r}"
        )
    function = keras.losses.get(loss)

    def mean_loss(y_true, y_pred):
        y_true = tf.cast(y_true, y_pred.dtype)
        # As `compile` does: a label for each sample meets an output of length one.
        if len(y_pred.shape) == len(y_true.shape) + 1 and y_pred.shape[-1] == 1:
            y_true = y_true[..., tf.newaxis]
        elif len(y_true.shape) == len(y_pred.shape) + 1 and y_true.shape[-1] == 1:
            y_true = tf.squeeze(y_true, -1)
        return tf.reduce_mean(function(y_true, y_pred))

    return mean_loss
