"""A progress bar for people who wait."""

import tqdm

from bnkit.callbacks.base import Callback


class Progress(Callback):
    """Shows steps done, time left, loss and accuracy of the last call, on standard error.

    Args:
        steps: Number of updates of the run.
        description: Stands before the bar.
    """

    def __init__(self, steps, description):
        super().__init__()
        self._steps = steps
        self._description = description

    def on_train_begin(self, logs=None):
        self._bar = tqdm.tqdm(
            total=self._steps,
            initial=self.trainer.step,
            desc=self._description,
            unit="step",
            disable=None,  # silent where nobody watches, such as in a log file
        )

    def on_steps_end(self, first, values):
        count = len(values["loss"])
        means = {name: f"{array.mean():.3g}" for name, array in values.items()}
        self._bar.set_postfix(means, refresh=False)
        self._bar.update(count)

    def close(self):
        """Leaves the bar as it stands; also after an interrupt."""
        self._bar.close()
