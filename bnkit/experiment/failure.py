"""What went wrong in a run, in one line."""

import re

from bnkit.store import RunError


def in_one_line(error, trainer):
    """The error with the step and, where it is known, the layer that it happened in."""
    if isinstance(error, RunError):
        return str(error)
    text = f"{type(error).__name__}: {error}"
    layer = _layer_in(text, trainer.model)
    where = f" in the layer {layer!r}" if layer else ""
    return f"step {trainer.step}{where}: {_core(text)}"


def _layer_in(text, model):
    """Name of the layer that the message of an error names; None without any."""
    # Keras names layers in its messages, TensorFlow in the paths of its operations.
    for name in sorted((layer.name for layer in model.layers), key=len, reverse=True):
        if re.search(rf"(?<!\w){re.escape(name)}(_\d+)?(?!\w)", text):
            return name
    return None


def _core(text):
    """The message itself: without escape codes and the places in TensorFlow's code."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", text).splitlines()]
    if any(line.startswith("Detected at node") for line in lines):
        # After the trace of where the operation was made comes what went wrong in it.
        said = [line for line in lines if line and not line.startswith(("[[", "File ", "Stack"))]
        return f"{lines[0].partition(':')[0]}: {said[-1]}"
    return " ".join(" ".join(lines).split())
