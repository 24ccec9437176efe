"""The process that makes the report of a command, as the command sees it."""

import builtins
import json
import os
import signal
import subprocess
import sys

from bnkit.reporting import ending


class Reporter:
    """Makes the report of this command, as the functions of `ending` do.

    Another process does it if there may be one, and this one if that cannot be started or has died.

    Args:
        is_command: Whether this process is a command in a shell: there may be another process, and
            what it prints is seen where this one prints. In a notebook it would not be.
    """

    def __init__(self, is_command):
        self._may_start = (
            is_command
            and hasattr(signal, "pthread_sigmask")
            and not hasattr(builtins, "__IPYTHON__")
        )
        self._process = None

    def start(self):
        """Starts the other process, if there may be one: it loads what it needs, and waits."""
        if not self._may_start:
            return
        self._may_start = False
        # Ctrl-C is sent to it, too, and is not for it. What is blocked here is blocked there.
        before = signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bnkit.reporting"],
                stdin=subprocess.PIPE,
                # Its linear algebra is small, and threads are in the way of forks.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError:  # No room for it: the report is made here.
            pass
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def report(self, name, **arguments):
        """`ending.NAME(**arguments)`, with plain values; returns the exit code."""
        self.start()
        code = self._tell({"name": name, "arguments": arguments})
        return getattr(ending, name)(**arguments) if code is None else code

    def close(self):
        """Ends a process that was never told what to report on."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None

    def _tell(self, task):
        """The exit code of the other process once it has ended; None if it cannot make a report."""
        process, self._process = self._process, None
        if process is None:
            return None
        with process:
            if process.poll() is not None:
                return None
            sys.stdout.flush()
            try:
                process.communicate(json.dumps(task).encode())
            finally:
                # After Ctrl-C, of which it has not heard.
                if process.poll() is None:
                    process.terminate()
                    # Here: after Ctrl-C the end of the block would not wait for the end of its bar.
                    process.wait()
        return process.returncode if process.returncode >= 0 else None
