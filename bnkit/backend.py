"""The backend of Keras that bnkit needs, looked at before Keras is loaded."""

import json
import os
import pathlib
import sys


class BackendError(ImportError):
    """Keras is set to another backend than TensorFlow."""


def require_tensorflow():
    """Checks that Keras computes with TensorFlow, or will once it is loaded.

    Raises:
        BackendError: For another backend; the message says how to change it.
    """
    backend = _loaded() or os.environ.get("KERAS_BACKEND") or _configured()
    if backend != "tensorflow":
        raise BackendError(
            "bnkit measures with TensorFlow: set KERAS_BACKEND=tensorflow in the environment "
            f"before Keras is loaded. Received: Keras's backend {backend!r}"
        )


def _loaded():
    keras = sys.modules.get("keras")
    return keras.config.backend() if hasattr(keras, "config") else None


def _configured():
    """What Keras's configuration file says, which Keras itself makes when it is first loaded."""
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    try:
        return json.loads((home / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"
