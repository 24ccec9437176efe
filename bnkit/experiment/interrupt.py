"""What Ctrl-C does to a run."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def between_calls(model):
    """Lets the first Ctrl-C end the training between two graph calls, and the third end it at once.

    If the second ended it at once, an impatient user would lose the checkpoint.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    presses = 0

    def stop(signum, frame):
        nonlocal presses
        presses += 1
        model.stop_training = True
        if presses > 2:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
