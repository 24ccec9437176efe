"""How many updates a model has made, as `model.fit` shows it."""

import keras


class Steps:
    """Counts the updates of a model in `model.fit`.

    The count is that of the optimizer, so that a second `fit`, one with `initial_epoch`, and one
    that Keras's `BackupAndRestore` has brought back go on where they were. A model that is compiled
    again has a new optimizer, and the count goes on from the old one's. A `train_step` that leaves
    the optimizer's count alone, such as one with optimizers of its own, is counted by its batches.
    """

    def __init__(self):
        self._optimizer = None
        self._offset = 0
        self._last = 0
        self._own = False

    @property
    def by_batches(self):
        """Whether the model's optimizer has not made the updates, as seen so far."""
        return self._own

    def at_batch_begin(self, model):
        """Updates made before this batch."""
        optimizer = model.optimizer
        if self._optimizer is None:
            self._offset = 0
        elif optimizer is not self._optimizer:
            self._offset = self._last
        self._optimizer = optimizer
        self._last = self._last if self._own else self._offset + updates(optimizer)
        return self._last

    def at_batch_end(self, model):
        """Updates made after this batch."""
        counted = self._offset + updates(model.optimizer)
        overridden = not model.train_step.__module__.startswith("keras.")
        # A loss-scaled optimizer leaves out an update of its own accord, and counts none.
        self._own = self._own or (counted == self._last and (overridden or not model.optimizer))
        self._last = self._last + 1 if self._own else counted
        return self._last


def unwrapped(optimizer):
    """The optimizer that makes the updates, inside wrappers such as `LossScaleOptimizer`."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def learning_rate(optimizer):
    """The rate of the next update; NaN without an optimizer."""
    if optimizer is None:
        return float("nan")
    return float(keras.ops.convert_to_numpy(unwrapped(optimizer).learning_rate))


def updates(optimizer):
    """How many the optimizer has made."""
    if optimizer is None:
        return 0
    return int(keras.ops.convert_to_numpy(unwrapped(optimizer).iterations))
