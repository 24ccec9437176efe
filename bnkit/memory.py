"""Memory: whether a machine has enough for a run, and what to change once it was not enough."""

import math
import os
import sys

from bnkit import families
from bnkit.settings import SettingsError

# What makes a run smaller.
ADVICE = "choose a smaller --batch_size or --width, or fewer --probes"


def check(settings):
    """Checks that the memory of this machine can hold what a run of these settings needs at least.

    Only what can never work is refused: the true need may be several times as large.

    Raises:
        SettingsError: For the setting that takes too much.
    """
    needs = families.get(settings.model).least_bytes(settings)
    name = max(needs, key=needs.get)
    _check_need(settings, name, needs[name])


def check_batch(settings, input_shape):
    """The same for a batch of data of this shape: as it was read, and standardised in float32.

    However the data are read, no more than some batches of them have to be in memory: the decoded
    ones are mapped from a file, and the streamed ones are read ahead as far as there is room.

    Raises:
        SettingsError: For the batch size.
    """
    _check_need(settings, "batch_size", settings.batch_size * math.prod(input_shape) * (1 + 4))


def _check_need(settings, name, need):
    installed = installed_bytes()
    if installed is not None and need > installed:
        raise SettingsError(
            name,
            getattr(settings, name),
            f"smaller: it takes at least {_gigabytes(need)} of memory, "
            f"and this machine has {_gigabytes(installed)}",
        )


def installed_bytes():
    """Bytes of memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def peak_bytes():
    """The most memory that this process has had so far; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def is_exhausted(error):
    """Whether an error says that there was not enough memory, on the host or on a GPU.

    TensorFlow has the same error for a full disk.
    """
    while error is not None:
        full = type(error).__name__ == "ResourceExhaustedError"
        if isinstance(error, MemoryError) or (full and "space left" not in str(error)):
            return True
        error = error.__cause__
    return False


def _gigabytes(count):
    return f"{count / 1e9:,.3g} GB"
