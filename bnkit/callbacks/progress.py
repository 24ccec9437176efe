"""How far a run has come, for people who wait."""

import contextlib

from bnkit import waiting
from bnkit.callbacks.base import Callback


class Progress(Callback):
    """Shows steps done, time left, loss and accuracy of the last call, see `bnkit.waiting`.

    The time left is estimated from the steps after the first call, in which everything is compiled.

    Args:
        steps: Number of updates of the run.
        description: What the run is called.
    """

    def __init__(self, steps, description):
        super().__init__()
        self._steps = steps
        self._description = description
        self._stack = contextlib.ExitStack()

    def on_train_begin(self, logs=None):
        self._shown = self._stack.enter_context(
            waiting.shown(
                self._steps,
                f"{self._description}: compiling",
                "step",
                initial=self.trainer.step,
            )
        )
        self._is_compiled = False

    def on_steps_end(self, first, values):
        if not self._is_compiled:
            self._shown.begins_now(self._description)
            self._is_compiled = True
        means = ", ".join(f"{name} {array.mean():.3g}" for name, array in values.items())
        self._shown.at(self.trainer.step, means)

    def close(self):
        """Leaves the bar as it stands; also after an interrupt."""
        self._stack.close()
