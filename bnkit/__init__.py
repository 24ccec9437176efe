"""bnkit measures what a normalisation layer does to the optimisation landscape."""

import importlib

__version__ = "0.1.0"

# Public names are found on first use, so that `import bnkit` loads neither TensorFlow nor pandas.
_MODULES = ("callbacks", "data", "experiment", "layers", "models", "probes", "report", "training")
_NAMES = {
    "Settings": "bnkit.settings",
    "Trainer": "bnkit.training",
    "load_claims": "bnkit.report",
    "load_runs": "bnkit.report",
}

__all__ = [*_MODULES, *_NAMES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
