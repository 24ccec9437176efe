"""One run of a study, in a process of its own: started by `bnkit.study.run`, not by hand.

The first line of standard input is the task, as JSON. The study keeps the input open for as long
as it wants the run; when the input ends, the run is interrupted as by Ctrl-C. So no run outlives
its study, however that ends, and a Ctrl-C in the terminal reaches each run once, through the study.
"""

import json
import logging
import os
import pathlib
import re
import signal
import sys
import threading
import traceback

from bnkit import memory
from bnkit.settings import Settings
from bnkit.store import read_status
from bnkit.study.process import INTERRUPTED, choose_kernels


def main():
    """Returns the exit code: 0 for a run that ended, 1 if it failed, 130 if it was interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Ray's workers keep it from their children.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("bnkit").setLevel(logging.INFO)
    settings = Settings(**task.pop("settings"))
    choose_kernels(pathlib.Path(task["study_dir"]) / settings.run_id, task["resume"])
    try:
        from bnkit import experiment

        directory = experiment.run(settings, **task, progress=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        traceback.print_exc()
        # The study shows the last line, without the escape codes with which Keras prints in bold.
        message = re.sub(r"\x1b\[\d*m", "", f"{type(error).__name__}: {error}")
        if memory.is_exhausted(error):
            message = f"out of memory: {memory.ADVICE} ({message})"
        print(" ".join(message.split()), file=sys.stderr)
        return 1
    return INTERRUPTED if read_status(directory)["status"] == "interrupted" else 0


def _interrupt_at_end_of_input():
    # Not sys.stdin: if a thread holds its lock when the interpreter exits, that is a fatal error.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
