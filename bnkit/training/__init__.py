"""The training loop: steps in compiled calls, callbacks in between."""

from bnkit.training.clock import Clock
from bnkit.training.trainer import Diverged, Trainer

__all__ = ["Clock", "Diverged", "Trainer"]
