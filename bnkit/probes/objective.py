"""The function that every probe looks at: a model's loss on one batch, at any weights."""

import inspect

import keras
import tensorflow as tf


class Objective:
    """`L(theta)` and its gradient on one batch, without touching the model.

    All evaluations start from the same non-trainable state: batch statistics come from the batch,
    and random layers draw the same numbers each time, so that they evaluate one function.

    Inside `strategy.run`, `batch` is the replica's share; losses and gradients are those of the
    global batch, reduced as the loss says: a loss whose `reduction` is "sum" adds up over the
    replicas, any other is a mean and is averaged.

    Args:
        model: A built `keras.Model`.
        loss_fn: `loss_fn(y_true, y_pred)`, a scalar for the batch.
        batch: `(x, y)`.
        weights: `theta`, aligned with `model.trainable_variables`; the model's own by default.
        state: Aligned with `model.non_trainable_variables`; the model's own by default.

    Raises:
        ValueError: for an unbuilt model, one without trainable weights, weights or state of other
            shapes than the model's, or a loss that is not a scalar.
    """

    def __init__(self, model, loss_fn, batch, weights=None, state=None):
        self.weights, self.state = read_variables(model, weights, state)
        if not self.weights:
            raise ValueError(f"The model has no trainable weights. Received: model {model.name!r}")
        self._model = model
        self._loss_fn = loss_fn
        self._x, self._y = batch
        context = tf.distribute.get_replica_context()
        self.replicas = 1 if context is None else context.num_replicas_in_sync

    def loss_and_gradient(self, weights, of=None):
        """`L(weights)` and its gradient, a list aligned with `weights`.

        `of`: positions in `weights` of those to differentiate for; all by default.
        """
        chosen = [weights[i] for i in (range(len(weights)) if of is None else of)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(chosen)
            loss = self.replica_loss(weights)
        gradient = tape.gradient(loss, chosen, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # Apart: they may differ in type.
        (loss,) = self.sum_over_replicas([loss])
        return loss, self.sum_over_replicas([tf.convert_to_tensor(g) for g in gradient])

    def evaluator(self):
        """`loss_and_gradient` for use at many points, which a graph traces only once.

        Replicas exchange values in it, which does not work in a function of its own; and eagerly
        tracing costs more than it saves.
        """
        if self.replicas > 1 or tf.executing_eagerly():
            return self.loss_and_gradient
        traced = tf.function(lambda weights: self.loss_and_gradient(weights), autograph=False)

        def loss_and_gradient(weights, of=None):
            # All of it: what nobody uses is pruned from the graph.
            loss, gradient = traced(weights)
            return loss, gradient if of is None else [gradient[i] for i in of]

        return loss_and_gradient

    def in_turn(self, function, elements, dtypes):
        """`function` of one element after the other, a tuple of its results stacked.

        In a graph it is compiled once, as a loop. Replicas exchange values, which does not work
        in a loop: there it is compiled for each element, still to run in turn, for their memory.
        """
        if self.replicas == 1:
            return tf.map_fn(function, elements, fn_output_signature=dtypes, parallel_iterations=1)
        results = []
        for element in tf.unstack(elements):
            with tf.control_dependencies([value for result in results[-1:] for value in result]):
                results.append(function(element))
        return tuple(tf.stack(values) for values in zip(*results, strict=True))

    def replica_loss(self, weights):
        """What this replica adds to `L(weights)`."""
        outputs, _ = call_in_training(self._model, weights, self.state, self._x)
        return replica_loss(self._loss_fn, self._y, outputs, self.replicas)

    def sum_over_replicas(self, values):
        """The replicas' values added up, a list of tensors."""
        if self.replicas == 1:
            return values
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def replica_loss(loss_fn, y_true, y_pred, replicas):
    """What a replica adds to the global loss: the sum of this over the replicas is that loss.

    A loss whose `reduction` is "sum" adds up as it is; any other is a mean over the replica's
    share, and is divided here, once. A Keras loss has to come as itself: within another function,
    what Keras divides cannot be seen.
    """
    loss = tf.cast(loss_fn(y_true, y_pred), tf.float32)
    if loss.shape.rank:
        raise ValueError(
            "`loss_fn` must give one number for the batch, its mean or sum. "
            f"Received: a loss of shape {tuple(loss.shape)}"
        )
    if getattr(loss_fn, "reduction", None) == "sum":
        return loss
    if _keras_divides(loss_fn, y_true, y_pred):
        loss *= tf.distribute.get_strategy().num_replicas_in_sync
    return loss / replicas


def _keras_divides(loss_fn, y_true, y_pred):
    """Whether Keras has divided this loss by the number of replicas.

    It does so to the means that it takes, wherever a strategy is current; not where the loss's own
    `call` gives one number already.
    """
    if not isinstance(loss_fn, keras.losses.Loss):
        return False
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return False
    y_true, y_pred = tf.nest.map_structure(
        lambda values: tf.cast(values, loss_fn.dtype), (y_true, y_pred)
    )
    return bool(loss_fn.call(y_true, y_pred).shape.rank)


def call_in_training(model, weights, state, x):
    """Outputs in training mode at given weights and state, and the state that this would leave.

    A model whose `call` takes no `training` is called as `model.fit` calls it.
    """
    parameters = inspect.signature(model.call).parameters.values()
    knows = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)
    mode = {"training": True} if knows else {}
    return model.stateless_call(weights, state, x, **mode)


def read_variables(model, weights=None, state=None):
    """Trainable and other variables of a model as lists of tensors; its own values by default.

    Raises:
        ValueError: for an unbuilt model, or values of other shapes than the model's.
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
