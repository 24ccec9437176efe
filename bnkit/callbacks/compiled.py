"""What a compiled Keras model trains on, as the probes take it."""

import tensorflow as tf


class CompiledLoss:
    """The loss that a model was compiled with: `(y_true, y_pred)` -> a scalar for the batch.

    That is what `model.fit` minimises on a batch, of one output or of several with their weights,
    or what the model's own `compute_loss` says. What layers add themselves (regularisers,
    `add_loss`) is left out, as weight decay is; sample and class weights are.

    Args:
        model: A compiled and built `keras.Model`.

    Raises:
        ValueError: for a model without a loss, or where the scope of a strategy is current: Keras
            divides its losses by the number of replicas there.
    """

    def __init__(self, model):
        if not getattr(model, "compiled", False) or (
            model.loss is None and type(model).compute_loss.__module__.startswith("keras.")
        ):
            raise ValueError(f"The model must be compiled with a loss. Received: {model.name!r}")
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            raise ValueError(
                "`model.fit` must be called outside `strategy.scope()`, which only the making of "
                f"the model needs. Received: a scope of {replicas} replicas"
            )
        self._model = model

    def __call__(self, y_true, y_pred):
        variables = (
            self._model.trainable_variables,
            self._model.non_trainable_variables,
            self._model.metrics_variables,
        )
        values = [[v.value for v in group] for group in variables]
        loss, _ = self._model.stateless_compute_loss(*values, y=y_true, y_pred=y_pred)
        # Constants here: they are those of the model's own weights, whatever the probe looks at.
        return loss - sum(tf.reduce_sum(added) for added in self._model.losses)
