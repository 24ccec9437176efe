"""The run directory on disk: written as things are measured, readable at any moment."""

import json
import math
import numbers
import os
import pathlib
import shutil

import filelock

FORMAT = 1
# The states of a run that is finished: it makes no further steps.
ENDED = ("done", "diverged")
# What a run of a study prints, in its directory: no part of what it measures.
LOG = "run.log"
# How numbers that JSON does not have are written.
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class RunError(RuntimeError):
    """A run directory that cannot be used as asked."""


class RunDir:
    """One run's directory `runs/STUDY/RUN/`, held by one process at a time.

    `settings.json` and `status.json` are replaced atomically; records are appended to
    `metrics.jsonl` and flushed one by one, so an interrupted run keeps what it measured.

    Raises:
        RunError: if another process is writing to the same run.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(self.path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RunError(f"another process is writing to {self.path}") from None
        self._metrics = None

    @property
    def checkpoints(self):
        return self.path / "checkpoints"

    @property
    def tensorboard(self):
        return self.path / "tensorboard"

    @property
    def status(self):
        """What `status.json` says, or None for a run that never started."""
        return read_status(self.path)

    @property
    def settings(self):
        """What `settings.json` says, or None for a run that never started."""
        return _read(self.path / "settings.json")

    def start(self, description):
        """Empties the directory and writes `settings.json`, before anything is measured."""
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in (".lock", LOG):
                entry.unlink()
        self._write("settings.json", {"format": FORMAT, **description})
        self.set_status("running")

    def set_status(self, state, *, reason="", steps=0, seconds=None):
        """`state`: running, done, interrupted, diverged or failed; `seconds`: part -> seconds."""
        seconds = {part: round(value, 3) for part, value in (seconds or {}).items()}
        content = {"status": state, "reason": reason, "steps": steps, "seconds": seconds}
        self._write("status.json", content)

    def append(self, record):
        """Adds one record, a dict with `step` and `kind`, to `metrics.jsonl`."""
        if self._metrics is None:
            self._metrics = open(self.path / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        self._metrics.write(json.dumps(to_json(record), allow_nan=False) + "\n")
        self._metrics.flush()

    def records(self):
        """All records of `metrics.jsonl` in the order written."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [from_json(json.loads(line)) for line in lines]

    def metrics_length(self):
        """Bytes in `metrics.jsonl`: kept with a checkpoint, so that a resumed run can cut back."""
        path = self.path / "metrics.jsonl"
        return path.stat().st_size if path.exists() else 0

    def truncate_metrics(self, length):
        """Drops the records written after the checkpoint that a run resumes from."""
        self._close_metrics()
        if self.metrics_length() < length:
            raise RunError(f"{self.path / 'metrics.jsonl'} is shorter than its checkpoint says")
        if length:
            os.truncate(self.path / "metrics.jsonl", length)
        elif self.metrics_length():
            (self.path / "metrics.jsonl").unlink()

    def close(self):
        self._close_metrics()
        self._lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _close_metrics(self):
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None

    def _write(self, name, content):
        path = self.path / name
        unfinished = path.with_name(f".{name}.unfinished")
        unfinished.write_text(json.dumps(to_json(content), indent=2) + "\n", encoding="utf-8")
        os.replace(unfinished, path)


def read_status(path):
    """What `status.json` in a run's directory says, whoever holds it; None if it never started.

    Raises:
        RunError: if the file is damaged.
    """
    return _read(pathlib.Path(path) / "status.json")


def to_json(value):
    """Plain JSON values; non-finite numbers become "nan", "inf" and "-inf"."""
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return to_json(value.tolist())
    raise TypeError(f"cannot be written as JSON. Received: {value!r} of type {type(value)}")


def from_json(value):
    """What `to_json` wrote: "nan", "inf" and "-inf" as numbers again."""
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json(item) for item in value]
    return NON_FINITE.get(value, value) if isinstance(value, str) else value


def _read(path):
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is damaged: {error}") from error
