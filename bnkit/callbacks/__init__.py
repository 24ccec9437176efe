"""Keras callbacks: a measurement, when it is taken, and where its result goes.

In bnkit's `Trainer` the probes measure on the step's own training batch. Given a fixed `batch=`
they also work in plain `model.fit(..., callbacks=[...])`, on any model.
"""

from bnkit.callbacks.base import Callback
from bnkit.callbacks.checkpoint import Checkpoint
from bnkit.callbacks.probe import ProbeCallback
from bnkit.callbacks.probes import (
    Activations,
    BatchNormIdentity,
    Curvature,
    GradientNoise,
    InternalCovariateShift,
    Landscape,
    RandomLandscape,
    Weights,
)
from bnkit.callbacks.progress import Progress
from bnkit.callbacks.run_directory import RunDirectory
from bnkit.callbacks.tensorboard import TensorBoard
from bnkit.callbacks.training import Evaluation, TrainingMetrics

__all__ = [
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
