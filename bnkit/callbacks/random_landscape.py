"""The landscape along random directions, measured while a model trains."""

import tensorflow as tf

from bnkit import probes
from bnkit.callbacks.landscape import Landscape
from bnkit.callbacks.probe import ProbeCallback


class RandomLandscape(ProbeCallback):
    """Loss and gradient along random directions, at the weights of the step.

    Records, one for each direction: those of `Landscape`, and `direction`, its number from 0. The
    directions follow from the seed and the step, and differ between steps.

    Args:
        step_sizes: As for `Landscape`.
        directions: Number of directions at each measurement.
        seed: An integer.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "random_landscape"

    def __init__(self, step_sizes=Landscape.STEP_SIZES, *, directions=1, seed=0, **kwargs):
        super().__init__(**kwargs)
        if directions < 1:
            raise ValueError(f"`directions` must be >= 1. Received: directions={directions!r}")
        self.step_sizes = [float(s) for s in step_sizes]
        self.directions = directions
        self._seed = seed

    @classmethod
    def from_settings(cls, settings, **options):
        return cls(
            settings.step_sizes, directions=settings.directions, seed=settings.seed, **options
        )

    def measure(self, loss_fn, batch, seed):
        return probes.landscape(
            self.measured_model,
            loss_fn,
            batch,
            self.step_sizes,
            "random",
            seed=seed,
            statistics=self.statistics,
        )._asdict()

    def example(self):
        return (tf.constant([0, 0]),)

    def before_update(self, batch):
        for direction in range(self.directions):
            seed = tf.random.experimental.stateless_fold_in([self._seed, self._step], direction)
            measured = self.take(batch, seed)
            self.record(direction=direction, step_sizes=self.step_sizes, **measured)
