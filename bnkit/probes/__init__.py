"""Measurements of the optimisation landscape: pure functions of a Keras model.

Each computes at given weights inside a `keras.StatelessScope`, so that by construction no variable,
moving average, optimizer slot or random state changes. They run eagerly or inside a `tf.function`,
and inside `strategy.run` on each replica's share of a batch: the results are then those of the
global batch, equal on all replicas.

What they take:

* `model`: A built `keras.Model`.
* `loss_fn`: `loss_fn(y_true, y_pred)`, the mean or the sum over a batch as one number, without
  weight decay; or a `CompiledLoss`.
* `batch`: `(x, y)` or `(x, y, sample_weight)`.
* `weights`: theta, or W(t), the weights to measure at: tensors, arrays or variables, aligned with
  `model.trainable_variables`; the model's own by default.
* `state`: Likewise, aligned with `model.non_trainable_variables`.
* `statistics`: "batch" to measure in training mode, as the study does; "moving" to measure in
  inference mode, with moving statistics.

They raise a `ValueError` for a model that is not built, and for weights, state or statistics that
are not valid.
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
