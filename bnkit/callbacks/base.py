"""What the trainer expects of a callback, on top of Keras's own."""

import keras

from bnkit.schedules import At


class Callback(keras.callbacks.Callback):
    """A Keras callback with a schedule.

    Attributes:
        when: Steps at which `on_train_batch_begin` and `on_train_batch_end` are called.
        part: What the seconds spent in it are booked under.
        measures_update: Whether it measures once the update of a step is made.
        trainer: The `Trainer` that runs it; None in `model.fit`.
    """

    part = "other"
    measures_update = False

    def __init__(self, when=None):
        super().__init__()
        self.when = when or At([])
        self.trainer = None

    def set_trainer(self, trainer):
        self.trainer = trainer
        self.set_model(trainer.model)

    def traces(self):
        """Each `tf.function` that it will call, with what traces it; see `Tracing.ahead`."""
        return []

    def on_steps_end(self, first, values):
        """After a graph call of one or many steps: `values` is name -> array, one value a step."""
