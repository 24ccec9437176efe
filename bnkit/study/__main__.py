"""One run of a study, in a process of its own: started by `bnkit.study.run`, not by hand.

The first line of standard input is the task, as JSON. The study keeps the input open for as long
as it wants the run; when the input ends, the run is interrupted as by Ctrl-C. So no run outlives
its study, however that ends, and a Ctrl-C in the terminal reaches each run once, through the study.
"""

import json
import os
import signal
import sys
import threading

from bnkit import backend
from bnkit.study import task


def main():
    """Returns the exit code: 0 for a run that ended, 1 if it failed, 130 if it was interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Ray's workers keep it from their children.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    code, reason = task.make(asked)
    if reason:  # The study shows the last line.
        print(reason, file=sys.stderr)
    return code


def _interrupt_at_end_of_input():
    # Not sys.stdin: if a thread holds its lock when the interpreter exits, that is a fatal error.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    backend.skip_garbage_collection_at_exit()
    sys.exit(main())
