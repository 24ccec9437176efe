"""Internal covariate shift, measured while a model trains."""

from bnkit import probes
from bnkit.callbacks.across_update import AcrossUpdate
from bnkit.callbacks.probe import tensors


class InternalCovariateShift(AcrossUpdate):
    """Change of each layer's gradient by the real update of the layers before it (paper Fig 3).

    Records: `{step, kind: "ics", layers, l2, cosine, gradient_norm}`, see
    `bnkit.probes.internal_covariate_shift`.

    Args:
        every, batch, write: See `ProbeCallback`.
    """

    kind = "ics"

    def measure(self, loss_fn, batch, weights, state, next_weights):
        measured = probes.internal_covariate_shift(
            self.measured_model,
            loss_fn,
            batch,
            next_weights,
            weights=weights,
            state=state,
            statistics=self.statistics,
        )
        self.layers = measured.layers
        return tensors(measured)
