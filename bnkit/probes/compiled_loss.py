"""What `model.fit` minimises, as the probes take it."""

import contextlib
import inspect

import keras
import tensorflow as tf


class CompiledLoss:
    """The loss that `model.fit` minimises on a batch: that of `compile`, or of `compute_loss`.

    Hand it to a probe in place of a `loss_fn`. The loss weights of several outputs, masks and
    sample weights count as in `fit`. Losses that layers add (`add_loss`, regularizers) are left out
    unless asked for, as the study leaves weight decay out. If a model overrides `compute_loss`,
    what that returns is measured; `self.losses` then holds a single zero in it.

    Args:
        model: A compiled and built `keras.Model`.
        added_losses: Whether losses that layers add are part of it.

    Raises:
        ValueError: For a model without a loss; for a model with its own `train_step`, which may
            minimise anything; or inside the scope of a strategy, where Keras divides its losses by
            the number of replicas.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[2.0]])])
    >>> model.compile(loss="mse")
    >>> batch = np.ones((4, 1)), np.zeros((4, 1))
    >>> float(landscape(model, CompiledLoss(model), batch, [0.1]).loss)
    4.0
    """

    def __init__(self, model, *, added_losses=False):
        # First, because such a model is often compiled without a loss, or by a method of its own.
        if not _is_keras_own(model.train_step):
            raise ValueError(
                f"{type(model).__name__} has a `train_step` of its own, and what that minimises "
                "cannot be seen from outside. Hand over the loss as `loss=`, a function "
                "`loss(y_true, y_pred)`. "
                f"Received: {model.name!r}"
            )
        if not getattr(model, "compiled", False) or (
            model.loss is None and _is_keras_own(type(model).compute_loss)
        ):
            raise ValueError(f"The model must be compiled with a loss. Received: {model.name!r}")
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            raise ValueError(
                "`model.fit` must be called outside `strategy.scope()`, which only the making of "
                f"the model needs. Received: a scope of {replicas} replicas"
            )
        self.added_losses = added_losses
        self._model = model
        self._takes_training = "training" in inspect.signature(model.compute_loss).parameters

    def of_outputs(self, x, y, outputs, sample_weight, training):
        """The loss of a call, a scalar tensor. The scope of the call must still be open."""
        mode = {"training": training} if self._takes_training else {}
        with contextlib.nullcontext() if self.added_losses else _without_added_losses(self._model):
            return self._model.compute_loss(x, y, outputs, sample_weight, **mode)


@contextlib.contextmanager
def _without_added_losses(model):
    """Makes the model see a single added loss of 0 instead of those that its layers have added.

    Subtracting them afterwards would cost digits, and would be wrong if `compute_loss` does not add
    them in the first place.
    """
    before = model._losses_override
    # Of the type of the loss that Keras adds it to.
    dtype = getattr(model._compile_loss, "dtype", keras.config.floatx())
    model._losses_override = [tf.zeros((), dtype)]
    try:
        yield
    finally:
        model._losses_override = before


def _is_keras_own(method):
    return method.__module__.startswith("keras.")
