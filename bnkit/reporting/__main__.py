"""Waits until it is told on its standard input what to report on; ends if nobody will tell it."""

import json
import os
import signal
import sys
import threading

from bnkit import backend
from bnkit.messages import show_log
from bnkit.reporting import ending
from bnkit.study import INTERRUPTED

_LOWEST_PRIORITY = 19


def main():
    """Returns the exit code of the report; ends this process if there is nothing to report on."""
    loading = threading.Thread(target=_load)
    loading.start()
    task = sys.stdin.readline()
    if not task:
        # At once, and not after all has been loaded; there is nothing to tidy up.
        os._exit(0)
    loading.join()
    _hear_the_command()
    show_log()
    task = json.loads(task)
    try:
        return getattr(ending, task["name"])(**task["arguments"], processes=backend.cores())
    except KeyboardInterrupt:  # The command says so.
        return INTERRUPTED


def _load():
    """Loads what a report needs, when nothing else wants the core."""
    if sys.platform == "linux":
        # There, of this thread alone: what draws, later, has the priority of the command.
        os.setpriority(os.PRIO_PROCESS, 0, _LOWEST_PRIORITY)
    with backend.without_garbage_collection():
        ending.load()


def _hear_the_command():
    """From now on SIGTERM ends this process as Ctrl-C does; all that came before is forgotten."""

    def interrupt(number, frame):
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


if __name__ == "__main__":
    backend.skip_garbage_collection_at_exit()
    sys.exit(main())
