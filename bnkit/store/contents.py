"""What the files of a run hold: its description, and its status."""

import math
import pathlib
import platform
import sys
from datetime import datetime, timezone

import bnkit
from bnkit.rules import Rule, is_count, one_of

# Raised whenever files of the version before could no longer be read.
FORMAT = 1
STATES = ("running", "done", "interrupted", "diverged", "failed")
# The states of a run that is finished: it makes no further steps.
ENDED = ("done", "diverged")
# Their versions are recorded where they are loaded.
_LIBRARIES = ("tensorflow", "keras", "numpy")


def _is_finite(value):
    """Whether this is a finite number, and not a truth value; a whole one may be of any size."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and (isinstance(value, int) or math.isfinite(value))


def _is_plain(value):
    """Whether this can be the value of a setting: a list has no lists in it."""
    entries = value if isinstance(value, list) else [value]
    return all(isinstance(e, (str, bool, type(None))) or _is_finite(e) for e in entries)


def _object_of(accepts):
    return lambda value: isinstance(value, dict) and all(map(accepts, value.values()))


def _are_settings(value):
    # A data frame has columns of these names besides the settings.
    return _object_of(_is_plain)(value) and not value.keys() & {"study", "run", "status", "step"}


_TEXT = Rule(lambda value: isinstance(value, str), "text")
_STEPS = Rule(lambda value: is_count(value, 0), "a whole number >= 0")
_TEXTS = Rule(
    lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "a list of texts",
)
_OBJECT = Rule(lambda value: isinstance(value, dict), "an object")

# Name of a value in a file -> what it must be. What is in an object has dots in its name.
DESCRIPTION = {
    "format": Rule(is_count, "a whole number >= 1"),
    "study": _TEXT,
    "run": _TEXT,
    "settings": Rule(
        _are_settings, "an object of texts, finite numbers, truth values and lists of these"
    ),
    "settings.norm": _TEXT,
    "settings.lr": Rule(_is_finite, "a finite number"),
    "settings.seed": Rule(lambda value: is_count(value, -(2**63)), "a whole number"),
    "settings.steps": _STEPS,
    "settings.probes": _TEXTS,
    "settings.step_sizes": Rule(
        lambda value: isinstance(value, list) and all(map(_is_finite, value)), "a list of numbers"
    ),
    "command": _TEXTS,
    "versions": Rule(_object_of(lambda value: isinstance(value, str)), "an object of texts"),
    "train_mean_over": one_of(("step", "epoch")),
    "data": _OBJECT,
    "data.classes": Rule(lambda value: value is None or is_count(value), "null or a number >= 1"),
    "data.fingerprint": _TEXT,
    "device": _OBJECT,
    "parameters": _STEPS,
    "created": _TEXT,
}
# The rest is lacking in what earlier versions wrote, and in what `RunDirectory` writes.
REQUIRED = ("format", "study", "run", "settings", "settings.norm", "settings.lr", "settings.seed")
STATUS = {
    "status": one_of(STATES),
    "reason": _TEXT,
    "steps": _STEPS,
    "seconds": Rule(
        _object_of(lambda value: _is_finite(value) and value >= 0), "an object of numbers >= 0"
    ),
}


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


def status(state, *, reason="", steps=0, seconds=None, peak_bytes=None):
    """How far a run is.

    Args:
        state: One of `STATES`.
        reason: Why the run is not done.
        steps: Training steps made.
        seconds: Part of the run -> seconds spent on it.
        peak_bytes: The most memory that its process had; left out where it is not known.
    """
    if state not in STATES:
        raise ValueError(f"`state` must be one of {', '.join(STATES)}. Received: {state!r}")
    seconds = {part: round(value, 3) for part, value in (seconds or {}).items()}
    found = {"status": state, "reason": reason, "steps": steps, "seconds": seconds}
    return found if peak_bytes is None else found | {"peak_bytes": peak_bytes}
