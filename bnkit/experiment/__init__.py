"""One run from top to bottom: the only place where everything is put together."""

from bnkit.experiment.run import run

__all__ = ["run"]
