"""Every record as TensorBoard sees it."""

import numpy as np
import tensorflow as tf

from bnkit.callbacks.base import Callback


class TensorBoard(Callback):
    """Writes records, learning rate and speed as scalars; `write` takes the records.

    Of the records of training steps, one of `every`; those of probes, all.

    The landscape appears as the lower and upper edge of its bands, internal covariate shift as
    one curve for each layer.

    Args:
        directory: Where the event files go.
        every: Steps between two training records that are written.
    """

    part = "records"

    def __init__(self, directory, every=1):
        super().__init__()
        self._every = every
        self._writer = tf.summary.create_file_writer(str(directory))

    def write(self, record):
        """Writes one record, a dict with `step` and `kind`."""
        if record["kind"] == "train" and record["step"] % self._every:
            return
        scalars = _SCALARS[record["kind"]](record)
        with self._writer.as_default(step=record["step"]):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)

    def on_train_begin(self, logs=None):
        self._trained = self._train_seconds()

    def on_steps_end(self, first, values):
        seconds = self.trainer.clock.seconds
        trained, self._trained = self._trained, self._train_seconds()
        with self._writer.as_default(step=self.trainer.step):
            tf.summary.scalar("learning_rate", self.trainer.optimizer.learning_rate)
            if self._trained > trained:
                speed = len(values["loss"]) / (self._trained - trained)
                tf.summary.scalar("time/steps_per_second", speed)
            for part in seconds:
                tf.summary.scalar(f"time/seconds/{part}", seconds[part])

    def close(self):
        self._writer.close()

    def _train_seconds(self):
        return self.trainer.clock.seconds["train"]


def _plain(record):
    return {
        f"{record['kind']}/{name}": value
        for name, value in record.items()
        if name not in ("step", "kind")
    }


def _landscape(record):
    bands = {"loss": record["losses"], "gradient_distance": record["gradient_distances"]}
    group = record["kind"] + (f"_{record['direction']}" if "direction" in record else "")
    return {
        f"{group}/{name}_{edge}": choose(values)
        for name, values in bands.items()
        for edge, choose in (("lower", np.min), ("upper", np.max))
    } | {f"{group}/{name}": record[name] for name in ("loss", "gradient_norm", "smoothness")}


def _ics(record):
    return {
        f"ics_{name}/{layer}": value
        for name in ("l2", "cosine", "gradient_norm")
        for layer, value in zip(record["layers"], record[name], strict=True)
    }


_SCALARS = {
    "train": _plain,
    "eval": _plain,
    "landscape": _landscape,
    "random_landscape": _landscape,
    "ics": _ics,
}
