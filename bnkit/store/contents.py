"""What the files of a run hold: its description, and its status."""

import pathlib
import platform
import sys
from datetime import datetime, timezone

import bnkit

# Raised whenever files of the version before could no longer be read.
FORMAT = 1
STATES = ("running", "done", "interrupted", "diverged", "failed")
# The states of a run that is finished: it makes no further steps.
ENDED = ("done", "diverged")
# What every description and every status has.
DESCRIPTION_KEYS = ("format", "study", "run", "settings")
STATUS_KEYS = ("status",)
# Their versions are recorded where they are loaded.
_LIBRARIES = ("tensorflow", "keras", "numpy")


def describe(path, settings, *, data, parameters, command=(), device=None, train_mean_over="step"):
    """What identifies a run, and what it ran on: the description that `RunDir.start` writes.

    Args:
        path: The directory of the run, `RUNS/STUDY/RUN`.
        settings: Name -> plain value; has at least `norm`, `lr` and `seed`.
        data: What is known of the data, name -> plain value. `classes` is the number of classes,
            None for a regression, and left out where it is not known.
        parameters: Number of parameters of the model.
        command: The command line that asked for the run, to repeat it.
        device: What the run was made on, name -> plain value.
        train_mean_over: Whether records of kind "train" hold the values of a "step" or means over
            an "epoch".
    """
    path = pathlib.Path(path)
    loaded = [name for name in _LIBRARIES if name in sys.modules]
    return {
        "study": path.parent.name,
        "run": path.name,
        "settings": settings,
        "command": list(command),
        "versions": {
            "bnkit": bnkit.__version__,
            "python": platform.python_version(),
            **{name: sys.modules[name].__version__ for name in loaded},
        },
        "train_mean_over": train_mean_over,
        "data": data,
        "device": device or {},
        "parameters": parameters,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def status(state, *, reason="", steps=0, seconds=None):
    """How far a run is.

    Args:
        state: One of `STATES`.
        reason: Why the run is not done.
        steps: Training steps made.
        seconds: Part of the run -> seconds spent on it.
    """
    if state not in STATES:
        raise ValueError(f"`state` must be one of {', '.join(STATES)}. Received: {state!r}")
    seconds = {part: round(value, 3) for part, value in (seconds or {}).items()}
    return {"status": state, "reason": reason, "steps": steps, "seconds": seconds}
