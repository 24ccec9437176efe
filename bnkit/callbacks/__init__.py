"""Keras callbacks: a measurement, when it is taken, and where its result goes.

In bnkit's `Trainer` the probes measure on the step's own training batch. Given a fixed `batch=`
they also work in plain `model.fit(..., callbacks=[...])`, on any model.
"""

from bnkit.callbacks.base import Callback
from bnkit.callbacks.checkpoint import Checkpoint
from bnkit.callbacks.probes import InternalCovariateShift, Landscape, RandomLandscape
from bnkit.callbacks.progress import Progress
from bnkit.callbacks.tensorboard import TensorBoard
from bnkit.callbacks.training import Evaluation, TrainingMetrics

__all__ = [
    "Callback",
    "Checkpoint",
    "Evaluation",
    "InternalCovariateShift",
    "Landscape",
    "Progress",
    "RandomLandscape",
    "TensorBoard",
    "TrainingMetrics",
]
