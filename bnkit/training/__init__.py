"""The training loop: steps in compiled calls, callbacks in between."""

from bnkit.training.clock import Clock
from bnkit.training.cluster import ClusterError, WorkerLost
from bnkit.training.trainer import Diverged, Trainer
from bnkit.training.workers import Workers

__all__ = ["Clock", "ClusterError", "Diverged", "Trainer", "WorkerLost", "Workers"]
