"""Reading a run, whoever is writing it. What is read is checked here and nowhere else."""

import json
import pathlib

from bnkit.store.contents import DESCRIPTION_KEYS, FORMAT, STATUS_KEYS
from bnkit.store.errors import RunError
from bnkit.store.layout import RunFiles


def read_description(directory):
    """What `settings.json` says, as `describe` made it; None for a run that never started.

    Raises:
        RunError: If the file is damaged, or has another format.
    """
    path = RunFiles(pathlib.Path(directory)).description
    description = _read_object(path)
    if description is None:
        return None
    if description.get("format", FORMAT) != FORMAT:
        raise RunError(
            f"{path} has format {description['format']!r}; "
            f"this version of bnkit reads format {FORMAT}"
        )
    return _with_keys(description, DESCRIPTION_KEYS, path)


def read_status(directory):
    """What `status.json` says: `status, reason, steps, seconds`; None if the run never started.

    Raises:
        RunError: If the file is damaged.
    """
    path = RunFiles(pathlib.Path(directory)).status
    status = _read_object(path)
    return None if status is None else _with_keys(status, STATUS_KEYS, path)


def read_records(directory):
    """Yields the records of `metrics.jsonl` in the order written, each `(line number, record)`.

    Their non-finite numbers are still strings, for `from_json`. A last line that is not complete
    is still being written, or was when the run was killed: it is left out.

    Raises:
        RunError: If a line is damaged.
    """
    files = RunFiles(pathlib.Path(directory))
    if not files.records.exists():
        return
    with open(files.records, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            record = _record(line)
            if record is not None:
                yield number, record
            elif line.endswith(b"\n"):
                shown = line[:60].decode("utf-8", "replace")
                raise RunError(
                    f"{files.line(number)} is damaged: expected a JSON object with step and kind, "
                    f"got {shown!r}"
                )


class StepCounter:
    """Counts the training steps that a run has recorded, reading only what is new."""

    _STEP = b'"kind": "train"'

    def __init__(self, directory):
        self._path = RunFiles(pathlib.Path(directory)).records
        self._position = self._steps = 0

    def count(self):
        """Steps recorded so far; 0 for a run that never started."""
        try:
            with open(self._path, "rb") as records:
                # Cut back to the checkpoint that the run goes on from.
                if records.seek(0, 2) < self._position:
                    self._position = self._steps = 0
                records.seek(self._position)
                new = records.read()
        except FileNotFoundError:
            self._position = self._steps = 0
            return 0
        complete = new[: new.rfind(b"\n") + 1]
        self._position += len(complete)
        self._steps += complete.count(self._STEP)
        return self._steps


def _read_object(path):
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged: it is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        name = type(content).__name__
        raise RunError(f"{path} is damaged: it holds a {name}; expected a JSON object")
    return content


def _with_keys(content, keys, path):
    missing = set(keys) - set(content)
    if missing:
        raise RunError(f"{path} lacks {', '.join(sorted(missing))}")
    return content


def _record(line):
    """The record in a line; None if it is damaged."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    is_record = isinstance(record, dict) and isinstance(record.get("kind"), str)
    return record if is_record and "step" in record else None
