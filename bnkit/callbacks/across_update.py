"""Probes of what the real update of a step does."""

from bnkit.callbacks.probe import ProbeCallback
from bnkit.callbacks.steps import unwrapped, updates
from bnkit.probes.objective import read


class AcrossUpdate(ProbeCallback):
    """A probe of the weights before and after the real update of a step.

    When it is traced, `measure` says in `layers` which layers it measures.

    Raises:
        ValueError: at the start of `model.fit` with an optimizer that gathers the gradients of
            several steps, and does not move the weights at most of them.
    """

    measures_update = True

    def on_train_begin(self, logs=None):
        steps = getattr(unwrapped(self.optimizer), "gradient_accumulation_steps", None)
        if steps:
            raise ValueError(
                f"{type(self).__name__} needs an optimizer that updates at every step. "
                f"Received: gradient_accumulation_steps={steps}"
            )
        super().on_train_begin(logs)

    def before_update(self, batch):
        self._updates = updates(self.optimizer)
        self._weights = read(self.model.trainable_variables)
        self._state = read(self.model.non_trainable_variables)
        # A schedule's rate is already the next one after the update.
        self._learning_rate = self.learning_rate

    def example(self):
        weights = read(self.model.trainable_variables)
        return weights, read(self.model.non_trainable_variables), weights

    def after_update(self, batch):
        if self.trainer is not None and updates(self.optimizer) == self._updates:
            # A loss-scaled optimizer has left it out: there is no update to look at.
            return
        if self._steps.by_batches:
            self._learning_rate = float("nan")
        next_weights = read(self.model.trainable_variables)
        measured = self.take(batch, self._weights, self._state, next_weights, *self.numbers())
        self.record(layers=list(self.layers), **measured)
        self._weights = self._state = None

    def numbers(self):
        """Further arguments of `measure`."""
        return ()
