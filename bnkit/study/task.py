"""Makes one run in this process, from what a launcher has written down of it."""

import logging
import pathlib
import re
import traceback

from bnkit import backend, memory
from bnkit.settings import Settings
from bnkit.store import read_status
from bnkit.study.process import INTERRUPTED, choose_kernels


def make(task):
    """Makes the run that a task asks for; what it prints is its log.

    Args:
        task: Arguments of `experiment.run` as plain values, with `settings` as a dict.

    Returns:
        `(code, reason)`: 0 for a run that ended, 1 if it failed, and why, 130 if it was
        interrupted.
    """
    logging.basicConfig(format="%(message)s")
    logging.getLogger("bnkit").setLevel(logging.INFO)
    options = dict(task)
    settings = Settings(**options.pop("settings"))
    choose_kernels(pathlib.Path(task["study_dir"]) / settings.run_id, task["resume"])
    try:
        with backend.without_garbage_collection():
            from bnkit import experiment

        directory = experiment.run(settings, **options, progress=False)
    except KeyboardInterrupt:
        return INTERRUPTED, ""
    except Exception as error:
        traceback.print_exc()
        # The study shows it without the escape codes with which Keras prints in bold.
        message = re.sub(r"\x1b\[\d*m", "", f"{type(error).__name__}: {error}")
        if memory.is_exhausted(error):
            message = f"out of memory: {memory.ADVICE} ({message})"
        return 1, " ".join(message.split())
    return (INTERRUPTED if read_status(directory)["status"] == "interrupted" else 0), ""
