"""Writing a run: what is measured is on disk at once, and readable at any moment."""

import contextlib
import json
import os
import pathlib

import filelock

from bnkit.store import contents
from bnkit.store.checkpoints import Checkpoints
from bnkit.store.encoding import from_json, to_json
from bnkit.store.errors import RunError
from bnkit.store.files import check_no_link, replace_file
from bnkit.store.layout import RunFiles
from bnkit.store.reading import (
    check_replaceable,
    read_description,
    read_records,
    read_status,
)
from bnkit.store.records import record_line


class RunDir:
    """One run's directory `RUNS/STUDY/RUN/`, held by one process at a time.

    `settings.json` and `status.json` are replaced atomically; records are appended to
    `metrics.jsonl` and flushed one by one, so an interrupted run keeps what it measured.

    Raises:
        RunError: If another process is writing to the same run, or one of its files is a link.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._files = RunFiles(self.path)
        for path in self._files.written:
            check_no_link(path)
        self._lock = _acquired(self._files.lock, 0)
        self._metrics = None

    @property
    def checkpoints(self):
        return self._files.checkpoints

    @property
    def tensorboard(self):
        """Where its event files go, see `RunFiles`."""
        return self._files.tensorboard

    @property
    def description(self):
        """What `settings.json` says, or None for a run that never started."""
        return read_description(self.path)

    @property
    def status(self):
        """What `status.json` says, or None for a run that never started."""
        return read_status(self.path)

    def start(self, description):
        """Removes what an earlier run has left and writes the description.

        Files that bnkit has not written stay where they are.

        Args:
            description: As `describe` makes it.

        Raises:
            FormatError: If a newer version of bnkit wrote the earlier run.
        """
        check_replaceable(self.path)
        self._close_metrics()
        for path in (self._files.description, self._files.status, self._files.records):
            path.unlink(missing_ok=True)
        Checkpoints(self.checkpoints).remove()
        for path in self._files.events:
            path.unlink()
        with contextlib.suppress(OSError):  # It is not there, or holds what bnkit has not written.
            self._files.older_tensorboard.rmdir()
        _write(self._files.description, {"format": contents.FORMAT, **description})
        self.set_status("running")

    def set_status(self, state, **fields):
        """Writes how far the run is; `state` and `fields` as for `contents.status`."""
        _write(self._files.status, contents.status(state, **fields))

    def append(self, record):
        """Adds one record, a dict with `step` and `kind`.

        Raises:
            RunError: If it cannot be written; what was written before stays.
        """
        path = self._files.records
        try:
            if self._metrics is None:
                check_no_link(path)
                self._metrics = open(path, "a", encoding="utf-8")  # noqa: SIM115
            self._metrics.write(record_line(record))
            self._metrics.flush()
        except OSError as error:
            raise RunError(
                f"{path} cannot be written: {error.strerror}. What was measured is kept; once that "
                "is mended, the same command goes on"
            ) from error
        if not os.fstat(self._metrics.fileno()).st_nlink:
            raise RunError(f"{path} is gone: it was deleted during the run")

    def records(self):
        """All records in the order written."""
        return [from_json(record) for _, record in read_records(self.path)]

    def metrics_length(self):
        """Bytes of records: kept with a checkpoint, so that a resumed run can cut them back."""
        return self._files.records.stat().st_size if self._files.records.exists() else 0

    def truncate_metrics(self, length):
        """Drops the records written after the checkpoint that a run resumes from."""
        self._close_metrics()
        if self.metrics_length() < length:
            raise RunError(f"{self._files.records} is shorter than its checkpoint says")
        if length:
            os.truncate(self._files.records, length)
        elif self.metrics_length():
            self._files.records.unlink()

    def keep_records(self, is_kept):
        """Drops all records but those for which `is_kept(record)` holds."""
        self._close_metrics()
        kept = [record for record in self.records() if is_kept(record)]
        lines = "".join(record_line(record) for record in kept)
        replace_file(self._files.records, lines.encode())

    def close(self):
        self._close_metrics()
        self._lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _close_metrics(self):
        if self._metrics is not None:
            metrics, self._metrics = self._metrics, None
            # Of a full disk: what it still holds is the record that was not written.
            with contextlib.suppress(OSError):
                metrics.close()


def wait_until_free(directory, seconds):
    """Waits as long as another process writes to a run.

    On a file system that several machines share, the lock of a machine that was lost stays until
    the server gives it up: NFS 4 does so after 90 seconds.

    Args:
        directory: That of the run, which need not be there yet.
        seconds: How long to wait at most.

    Raises:
        RunError: If it is not free by then.
    """
    lock = RunFiles(pathlib.Path(directory)).lock
    if lock.exists():
        _acquired(lock, seconds).release()


def _acquired(path, seconds):
    """The lock at `path`.

    Raises:
        RunError: If another process still holds it after so many seconds.
    """
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except filelock.Timeout:
        raise RunError(f"another process is writing to {path.parent}") from None
    return lock


def _write(path, content):
    replace_file(path, (json.dumps(to_json(content), indent=2) + "\n").encode())
