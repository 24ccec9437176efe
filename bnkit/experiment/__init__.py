"""One run from top to bottom: the only place where everything is put together."""

from bnkit.experiment.run import run
from bnkit.training import WorkerLost

__all__ = ["WorkerLost", "run"]
