"""Effective learning rate and rotation of the weights, measured while a model trains."""

import tensorflow as tf

from bnkit import probes
from bnkit.callbacks.across_update import AcrossUpdate
from bnkit.callbacks.probe import tensors


class Weights(AcrossUpdate):
    """Size, direction and gradient of each layer's weights, and how far its update turns them.

    Records: `{step, kind: "weights", layers, weight_norm, effective_lr, angular_update,
    radial_share, gradient_norm}`, see `bnkit.probes.weights`.

    Args:
        every, batch, write: See `ProbeCallback`.
    """

    kind = "weights"

    def measure(self, loss_fn, batch, weights, state, next_weights, lr):
        measured = probes.weights(
            self.measured_model,
            loss_fn,
            batch,
            next_weights,
            lr,
            weights=weights,
            state=state,
            statistics=self.statistics,
        )
        self.layers = measured.layers
        return tensors(measured)

    def example(self):
        return (*super().example(), tf.constant(self.learning_rate))

    def numbers(self):
        return (tf.constant(self._learning_rate),)
