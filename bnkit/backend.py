"""What is decided before Keras and TensorFlow are loaded: the backend, and the kernels."""

import atexit
import contextlib
import gc
import json
import logging
import os
import pathlib
import platform
import sys
import tempfile

# TensorFlow reads it while it loads: "1" for the kernels of oneDNN, "0" for its own.
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# Processors on which TensorFlow takes oneDNN's kernels of its own accord, by their instructions.
_ONEDNN_FLAGS = frozenset(
    ("avx512_vnni", "avx_vnni", "avx512_bf16", "avx_vnni_int8", "amx_tile", "amx_int8", "amx_bf16")
)

# TensorFlow reads them before its first operation: threads of one operation, operations at a time,
# and the threads of libraries with OpenMP.
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")

_log = logging.getLogger(__name__)


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


def choose_kernels(begun_with=None):
    """Turns the kernels of oneDNN on, unless the user has decided, or a run was begun without.

    They are two to three times as fast, and TensorFlow leaves them off on processors without
    certain instructions. A rule and no measurement: all arms of a study have the same kernels.
    Where TensorFlow is loaded already nothing can be chosen any more, and where they are off then,
    one line of the log says how to have them on.

    Args:
        begun_with: What `onednn` said when a run that goes on was begun; None otherwise.
    """
    if "tensorflow" in sys.modules:
        if onednn() == "off" and ONEDNN not in os.environ:
            _log.warning(
                "TensorFlow was loaded without its oneDNN kernels, which are two to three times as "
                'fast here: put `import os; os.environ["%s"] = "1"` before it is imported',
                ONEDNN,
            )
    elif begun_with in ("on", "off"):
        os.environ[ONEDNN] = "1" if begun_with == "on" else "0"
    else:
        os.environ.setdefault(ONEDNN, "1")


def take_gpu_memory_as_needed():
    """Lets TensorFlow take a GPU's memory bit by bit, unless the user has decided, not all at once.

    Otherwise a second process on the same GPU, as `--jobs=2` starts one, would find none.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def onednn():
    """Whether TensorFlow computes with oneDNN: "on", "off", or "unknown"."""
    chosen = os.environ.get(ONEDNN)
    if chosen is not None:
        # As TensorFlow reads it.
        return {"1": "on", "true": "on", "0": "off", "false": "off"}.get(chosen.lower(), "unknown")
    if platform.machine() not in ("x86_64", "AMD64"):
        return "unknown"
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return "unknown"
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return "on" if _ONEDNN_FLAGS & set(flags.split()) else "off"


def choose_threads(begun_with=None):
    """A run that goes on has the threads that it was begun with: they change how sums are rounded.

    Where TensorFlow is loaded already nothing can be chosen any more.

    Args:
        begun_with: What `threads` said when the run was begun; None if there is no such run.
    """
    if begun_with is not None and "tensorflow" not in sys.modules:
        os.environ.update(dict.fromkeys(THREADS, str(begun_with)))


def threads():
    """The threads over which TensorFlow spreads one operation on the CPU, if nobody told it."""
    chosen = os.environ.get(THREADS[0], "").strip()
    # As TensorFlow reads it: what is no number, or no more than 0, is as if it were not set.
    if chosen.isdecimal() and int(chosen):
        return int(chosen)
    return cores()


def cores():
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


@contextlib.contextmanager
def without_start_up_messages():
    """Hides what TensorFlow's runtime prints while it loads, before its log level applies.

    If loading fails, everything is shown. See also `without_garbage_collection`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            with without_garbage_collection():
                yield
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def without_garbage_collection():
    """Leaves the search for garbage off while libraries load, and what they have made out of it.

    Loading TensorFlow makes a million objects that stay; to search them for garbage, again and
    again, takes a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def skip_garbage_collection_at_exit():
    """For commands: Python would search all that is there once more before it ends.

    With TensorFlow that takes most of a second, and the system takes the memory back anyway.
    """
    atexit.register(gc.freeze)
