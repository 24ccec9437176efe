"""The landscape along the gradient, measured while a model trains."""

from bnkit import probes
from bnkit.callbacks.probe import ProbeCallback
from bnkit.settings import Settings


class Landscape(ProbeCallback):
    """Loss and gradient along the gradient, at the weights of the step (paper Fig 4).

    Records: `{step, kind: "landscape", loss, gradient_norm, step_sizes, losses,
    gradient_distances, smoothness}`, see `bnkit.probes.landscape`.

    Args:
        step_sizes: Grid of `s` in `theta - s g`; by default the study's, 0.05 to 0.4.
        every, batch, write: See `ProbeCallback`.
    """

    kind = "landscape"
    STEP_SIZES = Settings().step_sizes

    def __init__(self, step_sizes=STEP_SIZES, **kwargs):
        super().__init__(**kwargs)
        self.step_sizes = [float(s) for s in step_sizes]

    @classmethod
    def from_settings(cls, settings, **options):
        return cls(settings.step_sizes, **options)

    def measure(self, loss_fn, batch):
        return probes.landscape(
            self.measured_model, loss_fn, batch, self.step_sizes, statistics=self.statistics
        )._asdict()

    def before_update(self, batch):
        self.record(step_sizes=self.step_sizes, **self.take(batch))
