"""Keras callbacks: a measurement, when it is taken, and where its result goes.

In bnkit's `Trainer` the probes measure on the step's own training batch. Given a fixed `batch=`
they also work in plain `model.fit(..., callbacks=[...])`, on any model.
"""

from bnkit.callbacks.activations import Activations
from bnkit.callbacks.base import Callback
from bnkit.callbacks.batch_norm_identity import BatchNormIdentity
from bnkit.callbacks.checkpoint import Checkpoint
from bnkit.callbacks.curvature import Curvature
from bnkit.callbacks.gradient_noise import GradientNoise
from bnkit.callbacks.ics import InternalCovariateShift
from bnkit.callbacks.landscape import Landscape
from bnkit.callbacks.probe import ProbeCallback
from bnkit.callbacks.progress import Progress
from bnkit.callbacks.random_landscape import RandomLandscape
from bnkit.callbacks.run_directory import RunDirectory
from bnkit.callbacks.tensorboard import TensorBoard
from bnkit.callbacks.training import Evaluation, TrainingMetrics
from bnkit.callbacks.weights import Weights

__all__ = [
    "PROBES",
    "Activations",
    "BatchNormIdentity",
    "Callback",
    "Checkpoint",
    "Curvature",
    "Evaluation",
    "GradientNoise",
    "InternalCovariateShift",
    "Landscape",
    "ProbeCallback",
    "Progress",
    "RandomLandscape",
    "RunDirectory",
    "TensorBoard",
    "TrainingMetrics",
    "Weights",
]

# Name of a probe, as in `--probes` -> its callback.
PROBES = {
    callback.kind: callback
    for callback in (
        Landscape,
        InternalCovariateShift,
        Activations,
        RandomLandscape,
        Curvature,
        GradientNoise,
        Weights,
        BatchNormIdentity,
    )
}
