"""Theorem 4.1 at every batch normalisation, measured while a model trains."""

import keras

from bnkit import probes
from bnkit.callbacks.probe import ProbeCallback, tensors
from bnkit.layers import BatchNorm
from bnkit.probes.recording import parts


class BatchNormIdentity(ProbeCallback):
    """Both sides of the paper's Theorem 4.1 at every batch normalisation of the network.

    Records: `{step, kind: "batch_norm_identity", layers, left, right, relative_difference,
    gradient_ratio}`, see `bnkit.probes.batch_norm_identity`.

    Args:
        every, batch, write: See `ProbeCallback`.
    """

    kind = "batch_norm_identity"

    @classmethod
    def applies_to(cls, model):
        norms = (BatchNorm, keras.layers.BatchNormalization)
        return any(isinstance(part, norms) for part in parts(model))

    def measure(self, loss_fn, batch):
        measured = probes.batch_norm_identity(
            self.measured_model, loss_fn, batch, statistics=self.statistics
        )
        self._layers = measured.layers
        return tensors(measured)

    def before_update(self, batch):
        measured = self.take(batch)
        self.record(layers=list(self._layers), **measured)
