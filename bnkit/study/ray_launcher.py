"""The runs of a study as tasks of a Ray cluster.

A task makes the run in a `Process` on its node, as a study on one machine does. Ray is imported
when a launcher is opened, and not before.
"""

import contextlib
import logging
import os
import pathlib
import platform
import signal
import socket
import tempfile
import time

import bnkit
from bnkit.store import RunError, RunFiles, wait_until_free
from bnkit.study.errors import LauncherError
from bnkit.study.process import Process, with_threads

# Seconds between two looks at a process on its node.
_PAUSE = 0.2
# Seconds until a machine that does not answer is not there.
_SECONDS_TO_REACH = 10
# Seconds that a run waits at most for the lock of a process that wrote to it before.
_PATIENCE = 120
# After so many lost nodes a run has failed: it may be what brings them down.
_MOST_LOSSES = 5
# Beginnings of environment variables that runs have from this process, on whichever node.
_FORWARDED = ("BNKIT_", "KERAS_", "OMP_", "TF_", "TFDS_")
# Says which worker of one distributed run a process is: true of this process alone.
_NOT_FORWARDED = ("TF_CONFIG",)
_SHARED = "it has to be on a file system that all nodes share"

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def opened(address=None, *, cpus=1, gpus=0):
    """Connects to a Ray cluster while the block runs.

    Args:
        address: `HOST:PORT` of the cluster; "local" begins one of this machine alone. If None, it
            is the cluster that `RAY_ADDRESS` names or that this machine belongs to, or else one of
            this machine alone.
        cpus: Cores and threads of each run.
        gpus: GPUs of each run.

    Yields:
        A `RayLauncher`.

    Raises:
        LauncherError: If Ray is not installed, or there is no such cluster.
    """
    ray = _imported()
    _check_reachable(address or os.environ.get("RAY_ADDRESS", ""))
    logging.getLogger("ray").setLevel(logging.ERROR)
    # A cluster that Ray makes here would report on itself to its authors, unless somebody says no.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with _sigterm_as_it_was():
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise LauncherError(f"no Ray cluster at {address or 'hand'}: {error}") from error
    try:
        with contextlib.closing(RayLauncher(ray, cpus, gpus)) as launcher:
            yield launcher
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _sigterm_as_it_was():
    """Ray takes SIGTERM for itself, and would end this process without a word to the runs."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)


def _check_reachable(address):
    """Checks that something listens at `HOST:PORT`: Ray itself gives up after minutes.

    Raises:
        LauncherError: If nothing does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return  # Not an address of this form: Ray knows what it means, or says so.
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_REACH).close()
    except (OSError, OverflowError) as error:
        raise LauncherError(f"no Ray cluster at {address}: {error}") from error


def _imported():
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise LauncherError(
            'Ray is not installed: pip install -e ".[ray]", or choose --launcher=local'
        ) from error
    return ray


class RayLauncher:
    """Starts runs on a cluster: each begins as soon as a node has room for it.

    What they write lands in the study's directory, which has to be on a file system that all nodes
    share.

    Args:
        ray: The package, connected to a cluster.
        cpus: Cores and threads of each run.
        gpus: GPUs of each run.
    """

    def __init__(self, ray, cpus, gpus):
        self._ray = ray
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_make)
        self._environment = _environment(cpus, gpus)
        self._marks = {}

    def start(self, settings, study_dir, **options):
        """Hands a run over to the cluster; `options` as for `Process`."""
        study_dir = study_dir.absolute()
        place = {
            "study_dir": study_dir,
            "mark": self._mark(study_dir),
            "directory_of_work": os.getcwd(),
            "version": bnkit.__version__,
        }

        def submit(options):
            return self._task.remote(settings, place, self._environment, options)

        return _Run(self._ray, submit, settings, study_dir, options)

    def close(self):
        """Removes the files by which nodes know the studies' directories."""
        for mark in self._marks.values():
            mark.unlink(missing_ok=True)

    def _mark(self, study_dir):
        """A file with a name of its own: another directory at the same path does not have it."""
        if study_dir not in self._marks:
            study_dir.mkdir(parents=True, exist_ok=True)
            file, path = tempfile.mkstemp(dir=study_dir, prefix=".seen-by-all-")
            os.close(file)
            self._marks[study_dir] = pathlib.Path(path)
        return self._marks[study_dir]


class _Run:
    """A run that was handed over, with the properties and methods of a `Process`."""

    def __init__(self, ray, submit, settings, study_dir, options):
        self.settings = settings
        self._ray = ray
        self._submit = submit
        self._options = options
        self._files = RunFiles(study_dir / settings.run_id)
        self._described = _stamp(self._files.description)
        self._losses = 0
        self._asked_to_end = False
        self._result = None
        self._hand_over()

    @property
    def has_begun(self):
        """Whether a node has taken it up: the first thing that one does is to open the log."""
        return _stamp(self._files.log) != self._logged

    @property
    def has_ended(self):
        if self._result is None and self._ray.wait([self._reference], timeout=0)[0]:
            self._result = self._outcome()
        return self._result is not None

    def interrupt(self):
        """Asks the run to save a checkpoint and end; one that has not begun never will."""
        if not self._asked_to_end:
            self._asked_to_end = True
            self._ray.cancel(self._reference)

    def kill(self):
        """Ends the run at once."""
        self._asked_to_end = True
        self._ray.cancel(self._reference, force=True)

    def result(self):
        """`(state, reason, seconds)` of a run that has ended."""
        return self._result

    def _hand_over(self):
        self._start = time.monotonic()
        self._logged = _stamp(self._files.log)
        self._reference = self._submit(self._options)

    def _outcome(self):
        """What has become of the task; None if its node was lost, and it was handed over again."""
        errors = self._ray.exceptions
        seconds = time.monotonic() - self._start
        try:
            return self._ray.get(self._reference)
        except errors.RayTaskError as error:
            return "failed", f"{type(error.cause).__name__}: {error.cause}", seconds
        except errors.RayError as error:
            if self._asked_to_end:
                was_begun = self.has_begun or self._losses
                return "interrupted" if was_begun else "to do", "stopped by hand", seconds
            return self._lost(str(error).split(". ")[0], seconds)

    def _lost(self, reason, seconds):
        self._losses += 1
        if self._losses == _MOST_LOSSES:
            return "failed", f"it was lost {_MOST_LOSSES} times; the last: {reason}", seconds
        name = self.settings.run_id
        _log.warning("%s was lost, and goes on elsewhere from its checkpoint: %s", name, reason)
        # With --noresume: what the lost node had begun is no earlier run.
        if _stamp(self._files.description) != self._described:
            self._options = {**self._options, "resume": True}
        self._hand_over()
        return None


def _environment(cpus, gpus):
    """The environment variables that runs have in place of their node's."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_FORWARDED) and name not in _NOT_FORWARDED
    }
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return with_threads(environment, cpus)


def _stamp(path):
    """What changes whenever a file is replaced or written; None as long as there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _make(settings, place, environment, options):
    """The task: makes a run on the node where it is; returns what `Process.result` does."""
    node = platform.node()
    start = time.monotonic()
    if bnkit.__version__ != place["version"]:
        has = f"{node} has bnkit {bnkit.__version__}, and the study is made with"
        return "failed", f"{has} {place['version']}", 0.0
    if not place["mark"].exists():
        return "failed", f"{node} does not see {place['study_dir']} of this study: {_SHARED}", 0.0
    process = None
    try:
        wait_until_free(place["study_dir"] / settings.run_id, _PATIENCE)
        process = Process(
            settings,
            place["study_dir"],
            environment={**os.environ, **environment},
            directory_of_work=place["directory_of_work"],
            heading=f"on {node}\n",
            **options,
        )
        while not process.has_ended:
            time.sleep(_PAUSE)
    except RunError as error:
        return "failed", str(error), time.monotonic() - start
    except KeyboardInterrupt:  # That is how `ray.cancel` asks.
        if process is None:
            return "to do", "", 0.0
        process.interrupt()
    return process.result()
