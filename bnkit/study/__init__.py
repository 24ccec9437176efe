"""A study: a grid of settings, each of them a run in a process of its own.

Nothing here imports TensorFlow; the processes of the runs do.
"""

from bnkit.store import ENDED
from bnkit.study.errors import LauncherError
from bnkit.study.grids import AXES, grid
from bnkit.study.jobs import choose as choose_jobs
from bnkit.study.launch import Outcome, run, state
from bnkit.study.process import INTERRUPTED, choose_kernels

__all__ = [
    "AXES",
    "ENDED",
    "INTERRUPTED",
    "LauncherError",
    "Outcome",
    "choose_jobs",
    "choose_kernels",
    "grid",
    "run",
    "state",
]
