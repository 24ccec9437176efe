"""How many runs of a study to make at a time.

A rule and no measurement. The number of threads of a run is part of how its numbers round, so all
arms of a study, and all calls of it, need the same number, and a measurement of seconds that are
shared with others would come out one way today and another tomorrow. What the rule needs to know
was measured once: with two threads a step of the default VGG takes 0.6 of the time that it takes
with one (46.2 and 76.7 ms, with batch norm): a fifth of it does not get faster with threads.
"""

import contextlib
import os
import pathlib

from bnkit import backend, families, memory
from bnkit.store import RunError, read_description

# The part of a run that takes as long with any number of threads.
_SERIAL = 0.2
# Of the memory, what all runs together may need.
_OF_MEMORY = 0.75
# Bytes of a process with TensorFlow, and of a run at its model's default width and batch size.
_PROCESS, _DEFAULT_RUN = 1e9, 1e9


def choose(grid, study_dir, cpus=None):
    """How many runs of a grid to make at a time; each gets its share of the cores.

    A study that has runs already goes on with as many threads for each run, where these are known.
    Otherwise as many runs as take the least time in all by the rule above, and fit into memory; the
    smaller number if two take as long. One at a time where there are GPUs: a run mirrors over all
    of them.

    Args:
        grid: List of `bnkit.Settings`.
        study_dir: Directory of the study, which need not be there.
        cpus: Threads of each run, if they are chosen: as many runs as there are cores for.
    """
    cores = backend.cores()
    begun_with = cpus or _threads(grid, pathlib.Path(study_dir))
    if begun_with is not None:
        return max(min(cores // begun_with, len(grid)), 1)
    if _has_gpus() and any(settings.strategy != "cpu" for settings in grid):
        return 1
    installed = memory.installed_bytes()
    most = min(cores, len(grid))
    if installed is not None:
        need = max(map(_bytes, grid))
        most = max(min(most, int(_OF_MEMORY * installed / need)), 1)
    return min(range(1, most + 1), key=lambda jobs: _time(jobs, len(grid), cores))


def _time(jobs, runs, cores):
    """Time of all runs, in that of a run with one thread."""
    rounds = -(-runs // jobs)
    return rounds * (_SERIAL + (1 - _SERIAL) / (cores // jobs))


def _bytes(settings):
    """What a run needs, roughly: its activations and weights grow with width and batch size."""
    usual = families.get(settings.model).defaults
    times = settings.batch_size / (usual.get("batch_size") or usual["samples"])
    if settings.width is not None:
        times *= settings.width / usual["width"]
    return _PROCESS + times * _DEFAULT_RUN


def _threads(grid, study_dir):
    """The threads of a run that is there; None if there is none, or if it does not say."""
    for settings in grid:
        # A damaged run is told of once it is asked for.
        with contextlib.suppress(RunError):
            description = read_description(study_dir / settings.run_id) or {}
            threads = description.get("device", {}).get("threads")
            if isinstance(threads, int) and threads > 0:
                return threads
    return None


def _has_gpus():
    """Whether there are GPUs of NVIDIA's that a process would see; TensorFlow is not asked."""
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return pathlib.Path("/dev/nvidia0").exists() and not is_hidden
