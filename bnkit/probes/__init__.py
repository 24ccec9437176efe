"""Measurements of the optimisation landscape: pure functions of a Keras model.

Each computes at given weights inside a `keras.StatelessScope`, so that by construction no variable,
moving average, optimizer slot or random state changes: with the layers in training mode, or in
inference mode where `statistics="moving"`. They run eagerly or inside a `tf.function`, and inside
`strategy.run` on each replica's share of a batch: the results are then those of the global batch,
equal on all replicas.
"""

from bnkit import losses as _losses  # noqa: F401  registers bnkit's losses with Keras
from bnkit.layers import registered as _registered  # noqa: F401  and its layers
from bnkit.probes.activations import Activations, Signal, activations
from bnkit.probes.batch_norm_identity import BatchNormIdentity, batch_norm_identity
from bnkit.probes.compiled_loss import CompiledLoss
from bnkit.probes.curvature import Curvature, curvature
from bnkit.probes.gradient_noise import GradientNoise, gradient_noise
from bnkit.probes.ics import ICS, internal_covariate_shift
from bnkit.probes.landscape import Landscape, landscape
from bnkit.probes.population import population_state
from bnkit.probes.stages import Stage, stages
from bnkit.probes.weights import Weights, weights

__all__ = [
    "ICS",
    "Activations",
    "BatchNormIdentity",
    "CompiledLoss",
    "Curvature",
    "GradientNoise",
    "Landscape",
    "Signal",
    "Stage",
    "Weights",
    "activations",
    "batch_norm_identity",
    "curvature",
    "gradient_noise",
    "internal_covariate_shift",
    "landscape",
    "population_state",
    "stages",
    "weights",
]
