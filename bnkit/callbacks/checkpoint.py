"""Checkpoints: all that a run needs to go on as if it had never stopped."""

import time

import tensorflow as tf

from bnkit.callbacks.base import Callback
from bnkit.schedules import Elapsed
from bnkit.store import Checkpoints

# A checkpoint comes no sooner than its own time times this: saving takes less than 2 % of a run.
_LEAST_INTERVALS = 50


class Checkpoint(Callback):
    """Saves model, optimizer, random state, step and the length of the records, now and then.

    The first save is at the start, so that a run always has somewhere to go on from. The step is
    the position in the data: the batch of a step follows from the seed. Stands first among the
    callbacks, so that a checkpoint of step t holds no record of step t.

    Args:
        directory: Where to save; the newest two checkpoints are kept.
        seconds: Between two checkpoints, at least; more where saving takes long.
        metrics_length: Called for the length of the records at that moment, in bytes.
        on_save: Called after each save.
    """

    part = "checkpoint"

    def __init__(self, directory, *, seconds, metrics_length, on_save):
        self._seconds = seconds
        super().__init__(Elapsed(seconds))
        self._files = Checkpoints(directory)
        self._metrics_length = metrics_length
        self._on_save = on_save
        self._position = {name: tf.Variable(0, dtype=tf.int64) for name in ("step", "length")}

    def set_trainer(self, trainer):
        super().set_trainer(trainer)
        # As lists: followed from the model, the state of its random layers would be left out.
        lists = {"model": trainer.model.variables, "optimizer": trainer.optimizer.variables}
        lists = {name: [v.value for v in variables] for name, variables in lists.items()}
        self._checkpoint = tf.train.Checkpoint(**lists, **self._position)

    def restore(self):
        """Brings the trainer to the newest checkpoint that is whole.

        Call `set_trainer` first.

        Returns:
            The length of the records at the checkpoint, or None if there is none.
        """
        for prefix in self._files.newest_first(_can_be_read):
            self._checkpoint.read(str(prefix)).assert_consumed()
            self.trainer.step = int(self._position["step"].numpy())
            return int(self._position["length"].numpy())
        return None

    def save(self):
        """Saves the trainer as it stands."""
        start = time.monotonic()
        step = self.trainer.step
        self._position["step"].assign(step)
        self._position["length"].assign(self._metrics_length())
        with self._files.writing(step) as prefix:
            self._checkpoint.write(str(prefix))
        self._on_save()
        spent = time.monotonic() - start
        self.when.restart(max(self._seconds, _LEAST_INTERVALS * spent))

    def on_train_begin(self, logs=None):
        if self.trainer.step == 0:
            with self.trainer.clock(self.part):
                self.save()

    def on_train_batch_begin(self, batch, logs=None):
        self.save()

    def on_train_end(self, logs=None):
        self.save()


def _can_be_read(prefix):
    """Whether TensorFlow can read all of a checkpoint, whose parts it has checksums of."""
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, RuntimeError):
        return False
    return True
