"""The function that every probe looks at: a model's loss on one batch, at any weights."""

import contextlib
import contextvars
import inspect

import keras
import tensorflow as tf

from bnkit.probes import replicas
from bnkit.probes.compiled_loss import CompiledLoss

STATISTICS = ("batch", "moving")
# From the fewest digits to the most.
_PRECISIONS = ("bfloat16", "float16", "float32", "float64")
# The optimizer that trains a model that was not compiled with it, see `trained_by`.
_trained_by = contextvars.ContextVar("trained_by", default=None)
# The scale that Keras's `LossScaleOptimizer` starts with.
_FLOAT16_SCALE = 2.0**15
# What the scale is divided by when a gradient overflows.
_SCALE_DOWN = 16.0


class Objective:
    """`L(theta)` and its gradient on one batch, without touching the model.

    All evaluations start from the same non-trainable state: batch statistics come from the batch,
    and random layers draw the same numbers each time, so that they evaluate one function.

    Inside `strategy.run`, `batch` is the replica's share; losses and gradients are those of the
    global batch, reduced as the loss says: a loss whose `reduction` is "sum" adds up over the
    replicas, any other is a mean and is averaged.

    Gradients in float16 are computed from a scaled loss, as in training, and scaled back. The scale
    is that of the optimizer that trains the model, or else 2^15, and smaller if a gradient
    overflows.

    Args:
        model: A built `keras.Model`.
        loss_fn: `loss_fn(y_true, y_pred)`, a scalar for the batch, or a `CompiledLoss`.
        batch: `(x, y)` or `(x, y, sample_weight)`.
        weights: `theta`, aligned with `model.trainable_variables`; the model's own by default.
        state: Aligned with `model.non_trainable_variables`; the model's own by default.
        statistics: "batch" for training mode, "moving" for inference mode.

    Raises:
        ValueError: For a model that is not built or has no trainable weights, for weights or state
            of other shapes than the model's, for a loss that is not a scalar, or for sample weights
            that the loss does not take.
    """

    def __init__(self, model, loss_fn, batch, weights=None, state=None, statistics="batch"):
        self.weights, self.state = read_variables(model, weights, state)
        if not self.weights:
            raise ValueError(f"The model has no trainable weights. Received: model {model.name!r}")
        self._model = model
        self._loss_fn = loss_fn
        self._x, self._y, *rest = batch
        self._sample_weight = rest[0] if rest else None
        self._training = check_statistics(statistics) == "batch"
        self.loss_scale = loss_scale(model)
        self.replicas = replicas.count()

    def loss_and_gradient(self, weights, of=None):
        """`L(weights)` and its gradient.

        Args:
            weights: Where to evaluate.
            of: Positions in `weights` to differentiate for; all by default.

        Returns:
            The loss, and a list aligned with `of`.
        """
        loss, gradient = self._replica_gradient(weights, of, self.loss_scale)
        if self.loss_scale is not None:
            # The scale of training may be too large for a gradient that is larger than there.
            _, *gradient = tf.while_loop(
                lambda scale, *gradient: (scale > 1) & ~_are_finite(gradient),
                lambda scale, *_: (
                    scale / _SCALE_DOWN,
                    *self._replica_gradient(weights, of, scale / _SCALE_DOWN)[1],
                ),
                (self.loss_scale, *gradient),
            )
        # One by one, because they may be of different types.
        (loss,) = replicas.added_up([loss])
        return loss, replicas.added_up(gradient)

    def _replica_gradient(self, weights, of, scale):
        """What this replica adds to the loss and its gradient, by way of the scaled loss."""
        chosen = [weights[i] for i in (range(len(weights)) if of is None else of)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(chosen)
            loss = self.replica_loss(weights)
            scaled = loss if scale is None else loss * tf.cast(scale, loss.dtype)
        gradient = tape.gradient(scaled, chosen, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradient = [tf.convert_to_tensor(g) for g in gradient]
        if scale is not None:
            gradient = [g / tf.cast(scale, g.dtype) for g in gradient]
        return loss, gradient

    def evaluator(self):
        """`loss_and_gradient` for use at many points: a graph traces it only once.

        Not on replicas, which cannot exchange values within a nested `tf.function`, and not
        eagerly, where tracing would cost more than it saves.
        """
        if self.replicas > 1 or tf.executing_eagerly():
            return self.loss_and_gradient
        traced = tf.function(lambda weights: self.loss_and_gradient(weights), autograph=False)

        def loss_and_gradient(weights, of=None):
            # The whole gradient: the graph drops the parts that are not used.
            loss, gradient = traced(weights)
            return loss, gradient if of is None else [gradient[i] for i in of]

        return loss_and_gradient

    def scaled(self, loss):
        """The loss to differentiate: scaled, so that derivatives in float16 do not underflow."""
        if self.loss_scale is None:
            return loss
        return loss * tf.cast(self.loss_scale, loss.dtype)

    def unscaled(self, derivatives):
        """The derivatives of the loss, given those of the scaled loss."""
        if self.loss_scale is None:
            return derivatives
        return [d / tf.cast(self.loss_scale, d.dtype) for d in derivatives]

    def replica_loss(self, weights):
        """What this replica adds to `L(weights)`."""
        loss = self._loss_fn
        with at_values(self._model, weights, self.state, getattr(loss, "added_losses", False)):
            outputs = call(self._model, self._x, self._training)
            if isinstance(loss, CompiledLoss):
                value = loss.of_outputs(
                    self._x, self._y, outputs, self._sample_weight, self._training
                )
                return _at_least_float32(value)
            return replica_loss(loss, self._y, outputs, self.replicas, self._sample_weight)


def replica_loss(loss_fn, y_true, y_pred, parts, sample_weight=None):
    """What a replica adds to the global loss: the sum of this over the replicas is that loss.

    A loss whose `reduction` is "sum" adds up as it is. Any other is a mean over the replica's
    share, and is divided here, once. Hand over a Keras loss itself: inside another function one
    could not see that Keras divides it.
    """
    weighted = {} if sample_weight is None else _weighted(loss_fn, sample_weight, parts)
    loss = _at_least_float32(loss_fn(y_true, y_pred, **weighted))
    if loss.shape.rank:
        raise ValueError(
            "`loss_fn` must give one number for the batch, its mean or sum. "
            f"Received: a loss of shape {tuple(loss.shape)}"
        )
    if getattr(loss_fn, "reduction", None) == "sum":
        return loss
    if _keras_divides(loss_fn, y_true, y_pred):
        loss *= tf.distribute.get_strategy().num_replicas_in_sync
    return loss / tf.cast(parts, loss.dtype)


def _at_least_float32(loss):
    """The loss in float32, or in float64 if it is."""
    loss = tf.convert_to_tensor(loss)
    return loss if loss.dtype == tf.float64 else tf.cast(loss, tf.float32)


def _weighted(loss_fn, sample_weight, parts):
    """The sample weights as an argument of the loss."""
    reduction = getattr(loss_fn, "reduction", None)
    if reduction == "mean_with_sample_weight" and parts > 1:
        raise ValueError(
            "Over several replicas a loss cannot be divided by the weights of the global batch. "
            f"Received: a loss of reduction={reduction!r}"
        )
    is_keras = isinstance(loss_fn, keras.losses.Loss)
    if not is_keras and "sample_weight" not in inspect.signature(loss_fn).parameters:
        raise ValueError(
            "A batch with sample weights needs a loss that takes `sample_weight`. "
            f"Received: {loss_fn!r}"
        )
    return {"sample_weight": sample_weight}


def _keras_divides(loss_fn, y_true, y_pred):
    """Whether Keras has divided this loss by the number of replicas.

    It divides the means that it takes itself whenever a strategy is current, but not a loss whose
    own `call` returns one number.
    """
    if not isinstance(loss_fn, keras.losses.Loss):
        return False
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return False
    y_true, y_pred = tf.nest.map_structure(
        lambda values: tf.cast(values, loss_fn.dtype), (y_true, y_pred)
    )
    return bool(loss_fn.call(y_true, y_pred).shape.rank)


def check_statistics(statistics):
    """The statistics asked for.

    Raises:
        ValueError: For any that are not in `STATISTICS`.
    """
    if statistics not in STATISTICS:
        valid = " or ".join(map(repr, STATISTICS))
        raise ValueError(f"`statistics` must be {valid}. Received: statistics={statistics!r}")
    return statistics


def _are_finite(tensors):
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])


@contextlib.contextmanager
def trained_by(optimizer):
    """A scope in which gradients have the loss scale of this optimizer; of the model's if None."""
    token = _trained_by.set(optimizer)
    try:
        yield
    finally:
        _trained_by.reset(token)


def precision(model):
    """The type with the fewest digits that layers with weights compute in, such as "bfloat16"."""
    computed_in = {layer.compute_dtype for layer in model._flatten_layers() if layer.weights}
    return next((name for name in _PRECISIONS if name in computed_in), "float32")


def loss_scale(model):
    """What the loss is multiplied by before it is differentiated; None if by nothing."""
    optimizer = _trained_by.get() or getattr(model, "optimizer", None)
    if optimizer is not None:
        one = tf.constant(1.0)
        scale = optimizer.scale_loss(one)
        return None if scale is one else tf.convert_to_tensor(scale)
    computed_in = {layer.compute_dtype for layer in model._flatten_layers()}
    return tf.constant(_FLOAT16_SCALE) if "float16" in computed_in else None


@contextlib.contextmanager
def at_values(model, weights, state, collect_losses=False):
    """A scope in which the model's variables have these values, and which leaves no trace.

    Assignments are lost at its end, and the losses that the model's layers had added before are
    kept.
    """
    values = [
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, state, strict=True),
    ]
    added = [(layer, layer._losses[:], set(layer._loss_ids)) for layer in model._flatten_layers()]
    try:
        with keras.StatelessScope(state_mapping=values, collect_losses=collect_losses) as scope:
            yield scope
    finally:
        for layer, losses, ids in added:
            layer._losses[:] = losses
            layer._loss_ids.clear()
            layer._loss_ids.update(ids)


def call(model, x, training):
    """Outputs of the model in training or in inference mode, as `model.fit` calls it."""
    parameters = inspect.signature(model.call).parameters.values()
    knows = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)
    return model(x, training=training) if knows else model(x)


def call_at(model, weights, state, x, statistics="batch"):
    """Outputs at given weights and state, and the state that the call would leave behind."""
    with at_values(model, weights, state) as scope:
        outputs = call(model, x, check_statistics(statistics) == "batch")
    return outputs, [scope.get_current_value(v) for v in model.non_trainable_variables]


def read_variables(model, weights=None, state=None):
    """Trainable and other variables of a model as lists of tensors; its own values by default.

    Raises:
        ValueError: For a model that is not built, or values of other shapes than the model's.
    """
    if not model.built:
        raise ValueError(
            "The model has no weights yet: call it on a batch, or give it an `Input`. "
            f"Received: unbuilt model {model.name!r}"
        )
    trainable, other = model.trainable_variables, model.non_trainable_variables
    return (
        read(trainable if weights is None else weights, trainable, "weights"),
        read(other if state is None else state, other, "state"),
    )


def read(values, variables=None, name="values"):
    """Variables, tensors or arrays as a list of tensors.

    With `variables` they must have the same shapes, and are cast to the same types; `name` is
    what an error calls them.
    """
    values = [tf.convert_to_tensor(value) for value in values]
    if variables is None:
        return values
    received = [tuple(value.shape) for value in values]
    expected = [tuple(variable.shape) for variable in variables]
    if received != expected:
        raise ValueError(
            f"`{name}` must have the shapes of the model's variables. "
            f"Received: {received}, expected: {expected}"
        )
    return [tf.cast(value, v.dtype) for value, v in zip(values, variables, strict=True)]
