"""Checkpoints: all that a run needs to go on as if it had never stopped."""

import tensorflow as tf

from bnkit.callbacks.base import Callback
from bnkit.schedules import Every


class Checkpoint(Callback):
    """Saves model, optimizer, random state, step and the length of the records, now and then.

    The step is the position in the data: the batch of a step follows from the seed. Stands first
    among the callbacks, so that a checkpoint of step t holds no record of step t.

    Args:
        directory: Where to save; only the newest checkpoint is kept.
        every: Steps between two checkpoints.
        metrics_length: Called for the length of the records at that moment, in bytes.
        on_save: Called after each save.
    """

    part = "checkpoint"

    def __init__(self, directory, *, every, metrics_length, on_save):
        super().__init__(Every(every))
        self._directory = directory
        self._metrics_length = metrics_length
        self._on_save = on_save
        self._position = {name: tf.Variable(0, dtype=tf.int64) for name in ("step", "length")}

    def set_trainer(self, trainer):
        super().set_trainer(trainer)
        # As lists: followed from the model, the state of its random layers would be left out.
        lists = {"model": trainer.model.variables, "optimizer": trainer.optimizer.variables}
        lists = {name: [v.value for v in variables] for name, variables in lists.items()}
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**lists, **self._position), self._directory, max_to_keep=1
        )

    def restore(self):
        """Brings the trainer to the newest checkpoint; returns the records' length at it, or None.

        Call `set_trainer` first.
        """
        newest = self._manager.latest_checkpoint
        if newest is None:
            return None
        self._manager.checkpoint.restore(newest).assert_consumed()
        self.trainer.step = int(self._position["step"].numpy())
        return int(self._position["length"].numpy())

    def save(self):
        """Saves the trainer as it stands."""
        self._position["step"].assign(self.trainer.step)
        self._position["length"].assign(self._metrics_length())
        self._manager.save(checkpoint_number=self.trainer.step)
        self._on_save()

    def on_train_batch_begin(self, batch, logs=None):
        if self.trainer.step:
            self.save()

    def on_train_end(self, logs=None):
        self.save()
