"""What Ctrl-C and the signals that end a process do to a run."""

import contextlib
import signal
import threading

# Sent by Ctrl-C, by `kill` and by batch systems, and by a terminal that is closed.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interruption:
    """Asks a run to end between two graph calls, and says what it was that asked.

    The third signal ends the run at once. If the second did, an impatient user would lose the
    checkpoint.

    Attributes:
        reason: Why the run was stopped; empty as long as it was not.
    """

    def __init__(self):
        self.reason = ""
        self._count = 0
        self._model = None

    def watch(self, model):
        """From now on the training of this model can end between two calls."""
        self._model = model

    def _stop(self, number, frame):
        self._count += 1
        name = signal.Signals(number).name
        self.reason = "stopped by hand" if name == "SIGINT" else f"stopped by {name}"
        if self._model is None or self._count > 2:
            raise KeyboardInterrupt
        self._model.stop_training = True


@contextlib.contextmanager
def interruption():
    """An `Interruption` that hears the signals of this process while the block runs.

    A signal that is ignored, as SIGHUP is under `nohup`, stays ignored. Other threads than the main
    one hear none.
    """
    found = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {n: handler for n, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, found._stop)
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
