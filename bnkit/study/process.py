"""The process of one run, as its study sees it."""

import contextlib
import json
import signal
import subprocess
import sys
import time

from bnkit import backend, memory
from bnkit.rules import is_count
from bnkit.store import RunError, RunFiles, read_description, read_status

# The exit code that a shell gives a command ended by Ctrl-C.
INTERRUPTED = 130


def choose_kernels(directory, resume):
    """Before TensorFlow is loaded: a run that goes on has the kernels that it was begun with.

    It has as many threads, too.
    """
    begun_with = {}
    if resume:
        # A description that cannot be read is told of once the run is opened.
        with contextlib.suppress(RunError):
            begun_with = (read_description(directory) or {}).get("device", {})
    backend.choose_kernels(begun_with.get("onednn"))
    threads = begun_with.get("threads")
    backend.choose_threads(threads if is_count(threads) else None)


def with_threads(environment, count):
    """Environment variables with which a run has so many threads, unless the user has set them."""
    return {**dict.fromkeys(backend.THREADS, str(count)), **environment}


class Process:
    """Runs `experiment.run(settings, study_dir, **options)` in a process of its own.

    What it prints goes to `run.log` in the run's directory.

    Args:
        settings: `bnkit.Settings`.
        study_dir: `pathlib.Path` of the study.
        environment: Its environment variables.
        directory_of_work: Where it runs; as this process if None.
        heading: Line that its log begins with.
        options: Further arguments of `experiment.run`; plain values.

    Attributes:
        settings: As given.
        directory: The directory of the run.
        log: The file that gets what it prints.
    """

    # In its place it has begun at once; with another launcher a run may have to wait.
    has_begun = True

    def __init__(
        self, settings, study_dir, *, environment, directory_of_work=None, heading="", **options
    ):
        self.settings = settings
        self.directory = study_dir / settings.run_id
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = RunFiles(self.directory).log
        self._asked_to_end = False
        self._start = time.monotonic()
        with open(self.log, "ab" if options["resume"] else "wb") as log:
            log.write(heading.encode())
            log.flush()
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bnkit.study"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=directory_of_work,
                # A session of its own: the terminal sends Ctrl-C to every process in its session.
                start_new_session=True,
            )
        task = {"settings": settings.to_dict(), "study_dir": str(study_dir), **options}
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()

    @property
    def has_ended(self):
        return self._process.poll() is not None

    def interrupt(self):
        """Asks the run to save a checkpoint and end."""
        self._asked_to_end = True
        self._process.stdin.close()

    def kill(self):
        """Ends the run at once."""
        self._asked_to_end = True
        self._process.kill()

    def result(self):
        """Waits until the run has ended; returns `(state, reason, seconds)`."""
        code = self._process.wait()
        self._process.stdin.close()
        seconds = time.monotonic() - self._start
        if code == 0:
            return *self._status(), seconds
        if self._asked_to_end or code == INTERRUPTED:
            return "interrupted", "stopped by hand", seconds
        return "failed", self._why(code), seconds

    def _status(self):
        """`(state, reason)` as the run has left them."""
        try:
            status = read_status(self.directory)
        except RunError as error:
            return "failed", str(error)
        if status is None:
            return "failed", f"{self.directory} has no status: was it deleted or moved?"
        return status["status"], status["reason"]

    def _why(self, code):
        """The last line that it printed, or the signal that ended it."""
        try:
            with open(self.log, "rb") as log:
                log.seek(self._log_start)
                lines = log.read().decode(errors="replace").split("\n")
        except OSError as error:
            lines = [str(error)]
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if code < 0:
            ended = f"ended by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                ended += f" (if by the system, for want of memory: {memory.ADVICE})"
            return f"{ended}: {last}" if last else ended
        return last or f"exit code {code}"
