"""The training loop: `tf.GradientTape` under a `tf.distribute` strategy, many steps a call."""

import time

import numpy as np
import tensorflow as tf

from bnkit.probes import replicas
from bnkit.probes.objective import replica_loss
from bnkit.training.clock import Clock
from bnkit.training.evaluation import Evaluator, metric_values
from bnkit.training.tracing import Tracing
from bnkit.training.workers import Workers

# One graph call makes at most about this many seconds' worth of steps: often enough for a
# progress bar and for Ctrl-C, seldom enough to cost nothing.
_SECONDS_PER_CALL = 1.0
_MOST_STEPS_PER_CALL = 500
# The batches of a call are in memory together.
_MOST_BYTES_PER_CALL = 128e6


class Diverged(RuntimeError):
    """The training loss is no longer finite."""

    def __init__(self, step, loss):
        super().__init__(f"the training loss is {loss} at step {step}")
        self.step = step


class Trainer:
    """Trains a Keras model step by step and lets callbacks measure in between.

    All steps up to the next one at which a callback is due run inside one graph call, traced once;
    losses leave the device once per call. A step's number is that of the updates made before it:
    the loss of step t is that of the weights after t updates, on the batch of step t.

    Under a strategy of several workers each of them has a trainer and makes the same calls, with
    callbacks that measure at the same steps; the chief may have further ones.

    Args:
        model: A built `keras.Model`, created in the strategy's scope.
        optimizer: A Keras optimizer, created in the strategy's scope.
        loss_fn: `loss_fn(y_true, y_pred)`, a scalar for a batch: a mean over the batch, or a sum
            if its attribute `reduction` is "sum".
        strategy: A `tf.distribute.Strategy`; the current one by default.
        prepare: Applied to the inputs of a batch on the device, such as standardisation.
        metrics: Name -> function `(y_true, y_pred)` of per-sample values, averaged.
        weight_decay: `c` of the penalty `c/2 * sum ||kernel||^2` over all trainable matrices and
            kernels; trained on, and logged apart from the loss as `penalty`.
        jit_compile: Whether XLA compiles a step; on one replica only, because it cannot compile
            what replicas exchange.
        twin: What probes measure in place of the model, at the model's weights: a model of the same
            variables in the same order, made in the strategy's scope, such as one of another
            precision. Its own values are lost.
        traces_ahead: Whether graphs are traced in a thread while others run for the first time.
            Not where a callback calls the model itself, outside of them, nor with several workers,
            which have to trace what they exchange in the same order.
        clock: A `Clock`. It counts the seconds of `data`, `train`, `compile` (the first call), and
            those of each callback under its attribute `part`.
    """

    def __init__(
        self,
        model,
        optimizer,
        loss_fn,
        *,
        strategy=None,
        prepare=None,
        metrics=None,
        weight_decay=0.0,
        jit_compile=False,
        twin=None,
        traces_ahead=False,
        clock=None,
    ):
        self.model = model
        self.optimizer = optimizer
        self.loss_fn = loss_fn
        self.strategy = strategy or tf.distribute.get_strategy()
        self.replicas = self.strategy.num_replicas_in_sync
        self.workers = Workers(self.strategy)
        self.twin = twin
        self.clock = clock or Clock()
        self.step = 0
        self.tracing = Tracing()
        self._traces_ahead = traces_ahead
        self._prepare = prepare or (lambda x: x)
        self._metrics = dict(metrics or {})
        self._weight_decay = weight_decay
        self._value_names = ["loss", *self._metrics]
        if weight_decay:
            self._value_names.append("penalty")
        self._evaluator = Evaluator(model, loss_fn, self._prepare, self._metrics, self.tracing.wait)
        self._batches = None
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if jit_compile and self.replicas > 1:
            raise ValueError(
                "`jit_compile` must be False with several replicas: XLA cannot compile what they "
                f"exchange. Received: jit_compile=True, {self.replicas} replicas"
            )
        self._step = self._make_global_step
        if jit_compile:
            self._step = tf.function(self._make_global_step, autograph=False, jit_compile=True)
        if self.replicas > 1 and getattr(inner, "global_clipnorm", None):
            raise ValueError(
                "The norm of a gradient is clipped on each replica, before it is that of the "
                "global batch: leave out `clip_norm`, or use one device. "
                f"Received: {self.replicas} replicas"
            )
        self._steps_per_call = None  # not known before the first call has been timed
        with self.strategy.scope():
            optimizer.build(model.trainable_variables)
        self._train_steps = None  # compiled for the shape of the first batches

    def fit(self, batches, steps, callbacks=()):
        """Trains from `self.step` until `steps` updates have been made.

        A callback has a schedule `when`. At its steps the trainer calls
        `on_train_batch_begin(step)` before the update and `on_train_batch_end(step)` after it.
        After every graph call, of one step or many, it calls `on_steps_end(first, values)` with the
        values of the steps from `first` on, name -> array. Setting `model.stop_training` ends the
        training early, without `on_train_end`.

        Args:
            batches: Has `batch_size`, `steps_per_epoch` and `stack(start, stop) -> (x, y)`, the
                batches of those steps stacked; of the same shapes in all calls of `fit`.
            steps: Number of updates, counted from the start of the run.
            callbacks: `bnkit.callbacks`, called in this order.

        Raises:
            Diverged: If the loss is not finite. Everything up to that step has been reported.
            ValueError: For a batch size that the replicas cannot share equally.
        """
        if batches.batch_size % self.replicas:
            raise ValueError(
                f"`batch_size` must be a multiple of the {self.replicas} replicas. "
                f"Received: batch_size={batches.batch_size}"
            )
        self._batches = batches
        self.model.stop_training = False
        for callback in callbacks:
            callback.set_trainer(self)
            callback.on_train_begin()
        with self.tracing.ahead(self._traces(callbacks, steps)):
            while self.step < steps and not self.workers.any(self.model.stop_training):
                self._advance(steps, callbacks)
        if self.step >= steps:
            for callback in callbacks:
                with self.clock(callback.part):
                    callback.on_train_end()

    def share_state(self):
        """Brings the trainers of all workers to the step, weights and random state of the chief."""
        self.step = self.workers.of_chief(self.step)
        self.workers.share([*self.model.variables, *self.optimizer.variables])

    def batch(self, steps=1):
        """The batches of the next `steps` steps, joined to one: global, not yet prepared.

        A replica's share of it is made of the replica's shares of the steps, one after the other.
        """
        stacks = self._batches.stack(self.step, self.step + steps)
        return tuple(self._joined(stack) for stack in stacks)

    def on_replicas(self, function):
        """Compiles `function((x, y), *arguments)` to run on each replica's share of a batch.

        Returns a function `(x, y, *arguments)` of a global batch that gives the first replica's
        values. `function` itself has to reduce over the replicas, as the probes do.
        """

        @tf.function(autograph=False, reduce_retracing=True)
        def on_global_batch(x, y, *arguments):
            values = self.strategy.run(
                lambda x, y, *arguments: function(self._share(x, y), *arguments),
                args=(x, y, *arguments),
            )
            return tf.nest.map_structure(self._first_replica, values)

        return on_global_batch

    def evaluate(self, x, y, batch_size):
        """Loss and metrics of a whole split, name -> float; see `Evaluator`."""
        return self._evaluator(x, y, batch_size, self._batches)

    def traces_of_evaluation(self, x, y, batch_size):
        """What `evaluate` has to trace, see `Tracing.ahead`."""
        return self._evaluator.traces(x, y, batch_size, self._batches)

    def _traces(self, callbacks, steps):
        """What is called from the next step on, in the order of the first calls."""
        if not self._traces_ahead or self.step >= steps:
            return []
        with self.clock("compile"):
            self._make_train_steps(*self._batches.stack(self.step, self.step + 1))
            upcoming = [(one, one.when.next(self.step)) for one in callbacks]
            due = [one for one, step in upcoming if step is not None and step < steps]
            return [
                *(task for one in due if not one.measures_update for task in one.traces()),
                (self._train_steps, self._train_steps.get_concrete_function),
                *(task for one in due if one.measures_update for task in one.traces()),
            ]

    def _advance(self, steps, callbacks):
        """Makes one graph call: one step if a callback is due, else those up to the next event."""
        first = self.step
        upcoming = [(callback, callback.when.next(first)) for callback in callbacks]
        due = [callback for callback, step in upcoming if step == first]
        stop = first + 1
        if not due and self._steps_per_call:
            events = [step for _, step in upcoming if step is not None]
            stop = min([steps, first + self._steps_per_call, *events])
        # It depends on the time that steps take here, and on when the chief saves.
        stop = self.workers.of_chief(stop)
        for callback in due:
            with self.clock(callback.part):
                callback.on_train_batch_begin(first)
        values = self._train(first, stop)
        finite = np.isfinite(values["loss"])
        # Values after the first loss that is not finite mean nothing.
        stop = stop if finite.all() else first + int(np.argmin(finite)) + 1
        values = {name: array[: stop - first] for name, array in values.items()}
        self.step = stop
        for callback in due:
            with self.clock(callback.part):
                callback.on_train_batch_end(first)
        for callback in callbacks:
            with self.clock(callback.part):
                callback.on_steps_end(first, values)
        if not finite.all():
            raise Diverged(stop - 1, values["loss"][-1])

    def _train(self, first, stop):
        """The updates of the steps `first <= t < stop`; returns name -> array of their values."""
        with self.clock("data"):
            x, y = self._batches.stack(first, stop)
        self._make_train_steps(x, y)
        compiled = self._steps_per_call is not None
        start = time.perf_counter()
        with self.clock("train" if compiled else "compile"):
            self.tracing.wait(self._train_steps)
            values = self._train_steps(x, y).numpy()
        seconds = time.perf_counter() - start
        affordable = int(_SECONDS_PER_CALL * (stop - first) / seconds) if compiled else 1
        in_memory = int(_MOST_BYTES_PER_CALL * (stop - first) / (x.nbytes + y.nbytes))
        self._steps_per_call = max(min(affordable, in_memory, _MOST_STEPS_PER_CALL), 1)
        return dict(zip(self._value_names, values.T, strict=True))

    def _make_train_steps(self, x, y):
        """Makes the function of the steps, for stacks of batches such as x and y."""
        if self._train_steps is None:
            # For any number of steps: without the signature, one and many would each be traced.
            specs = [tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in (x, y)]
            self._train_steps = tf.function(
                self._make_steps, autograph=False, input_signature=specs
            )

    def _make_steps(self, x, y):
        steps = tf.shape(y)[0]
        values = tf.TensorArray(tf.float32, steps, element_shape=(len(self._value_names),))
        _, values = tf.while_loop(
            lambda i, _: i < steps,
            lambda i, values: (i + 1, values.write(i, self._step(x[i], y[i]))),
            (0, values),
        )
        return values.stack()

    def _make_global_step(self, x, y):
        """One update on a global batch; returns its values."""
        shares = self.strategy.run(self._make_step, args=(x, y))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)

    def _make_step(self, x, y):
        """One update on a replica's share; returns its part of the values, to be summed."""
        x, y = self._share(x, y)
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self.model(x, training=True)
            # The optimizer sums the gradients of the replicas: that of the global batch.
            loss = replica_loss(self.loss_fn, y, outputs, self.replicas)
            # What a loss-scaled optimizer takes off again; the loss itself for any other.
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(
            scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        values = [loss, *metric_values(self._metrics, y, outputs, self.replicas)]
        if self._weight_decay:
            share = self.optimizer.scale_loss(self._weight_decay / self.replicas)
            decayed = [len(v.shape) >= 2 for v in variables]
            gradients = [
                g + share * v if decays else g
                for g, v, decays in zip(gradients, variables, decayed, strict=True)
            ]
            kernels = [v.value for v, decays in zip(variables, decayed, strict=True) if decays]
            share = self._weight_decay / self.replicas
            values.append(share * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels]))
        is_scaled = hasattr(self.optimizer, "inner_optimizer")
        if is_scaled and self.replicas > 1:
            gradients = _finite_on_all_replicas(gradients)
        self.optimizer.apply(gradients, variables)
        return tf.stack([tf.cast(value, tf.float32) for value in values])

    def _share(self, x, y):
        """This replica's part of a global batch, prepared."""
        if self.replicas > 1:
            size = tf.shape(y)[0] // self.replicas
            start = tf.distribute.get_replica_context().replica_id_in_sync_group * size
            x, y = x[start : start + size], y[start : start + size]
        return self._prepare(x), y

    def _joined(self, stack):
        """`[steps, batch, ...]` as one batch, see `batch`."""
        steps, size, *shape = stack.shape
        shares = np.reshape(stack, (steps, self.replicas, size // self.replicas, *shape))
        return np.reshape(np.swapaxes(shares, 0, 1), (-1, *shape))

    def _first_replica(self, value):
        return self.strategy.experimental_local_results(value)[0]


def _finite_on_all_replicas(gradients):
    """The gradients; NaN where those of any replica are not finite.

    A loss-scaled optimizer leaves an update out if the gradient is not finite, and looks at its own
    replica's alone: another one would make the update, with another scale from then on.
    """
    finite = [tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients]
    lacking = replicas.added_up([tf.cast(~tf.reduce_all(finite), tf.float32)])[0] > 0
    return [tf.where(lacking, tf.cast(float("nan"), g.dtype), g) for g in gradients]
