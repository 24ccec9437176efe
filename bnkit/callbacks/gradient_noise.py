"""Noise of mini-batch gradients, measured while a model trains."""

from bnkit import probes
from bnkit.callbacks.probe import ProbeCallback


class GradientNoise(ProbeCallback):
    """How the gradients of mini-batches scatter, at the weights of the step.

    The mini-batches are those of this and the next steps in bnkit's `Trainer`, of the size that it
    trains on: one batch of all samples has no noise. In `model.fit` they are the parts of `batch`.

    Records: `{step, kind: "gradient_noise", batches, gradient_norm, trace, top_eigenvalue, share,
    signal_to_noise}`, see `bnkit.probes.gradient_noise`.

    Args:
        batches: Number of mini-batches.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "gradient_noise"

    def __init__(self, *, batches=8, **kwargs):
        super().__init__(**kwargs)
        self._batches = batches

    def step_batch(self):
        return self.trainer.batch(self._batches)

    def measure(self, loss_fn, batch):
        return probes.gradient_noise(
            self.measured_model, loss_fn, batch, parts=self._batches, statistics=self.statistics
        )._asdict()

    def before_update(self, batch):
        self.record(batches=self._batches, **self.take(batch))
