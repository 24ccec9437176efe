"""Reading a run, whoever is writing it. What is read is checked here and nowhere else."""

import contextlib
import io
import os
import pathlib

from bnkit.store.contents import DESCRIPTION, ENDED, FORMAT, REQUIRED, STATUS
from bnkit.store.errors import FormatError, RunError
from bnkit.store.layout import RunFiles
from bnkit.store.records import DamagedRecord, parse_json, parse_record

# No description comes near this, and no record; larger ones are not read into memory.
_LARGEST = 2**26
# Characters of a value that a message shows.
_SHOWN = 60


def read_description(directory):
    """What `settings.json` says, as `describe` made it; None for a run that never started.

    Raises:
        FormatError: If the file has another format.
        RunError: If the file is damaged.
    """
    path = RunFiles(pathlib.Path(directory)).description
    description = _read_object(path)
    if description is None:
        return None
    # Before the rest, which another format may have otherwise.
    _check(description, {"format": DESCRIPTION["format"]}, REQUIRED, path)
    found = description["format"]
    if found != FORMAT:
        age = "a newer" if found > FORMAT else "an older"
        raise FormatError(
            f"{path} was written by {age} version of bnkit: it has format {found}, and this "
            f"version reads format {FORMAT}. Use that version, or another --study"
        )
    _check(description, DESCRIPTION, REQUIRED, path)
    return description


def read_status(directory):
    """What `status.json` says: `status, reason, steps, seconds`; None if the run never started.

    Raises:
        RunError: If the file is damaged.
    """
    path = RunFiles(pathlib.Path(directory)).status
    status = _read_object(path)
    if status is not None:
        _check(status, STATUS, STATUS, path)
    return status


def read_records(directory):
    """Yields the records of `metrics.jsonl` in the order written, each `(line number, record)`.

    Their non-finite numbers are still strings, for `from_json`. A last line that is not complete
    is still being written, or was when the run was killed: it is left out.

    Raises:
        RunError: If a line is damaged.
    """
    files = RunFiles(pathlib.Path(directory))
    with _opened(files.records) as lines:
        for number, line in enumerate(iter(lambda: lines.readline(_LARGEST), b""), start=1):
            if not line.strip():
                continue
            try:
                record = parse_record(line)
            except DamagedRecord as damage:
                if line.endswith(b"\n") or len(line) == _LARGEST:
                    raise RunError(f"{files.line(number)} is damaged: {damage}") from damage
            else:
                yield number, record


def is_measured(directory):
    """Whether a run has ended, and what it measured is still there.

    Raises:
        RunError: If a file of it is damaged.
    """
    status = read_status(directory)
    described = read_description(directory) is not None
    # To the last line: a damaged one is found now, rather than after the rest of a study.
    records = sum(1 for _ in read_records(directory))
    return status is not None and status["status"] in ENDED and described and records > 0


def check_replaceable(directory):
    """Checks that no run of another version is there, which this one would not know how to keep.

    Raises:
        FormatError: If there is one.
    """
    try:
        read_description(directory)
    except FormatError:
        raise
    except RunError:
        pass  # Damaged: measuring it again is the way out.


class StepCounter:
    """Counts the training steps that a run has recorded, reading only what is new."""

    _STEP = b'"kind": "train"'

    def __init__(self, directory):
        self._path = RunFiles(pathlib.Path(directory)).records
        self._position = self._steps = 0

    def count(self):
        """Steps recorded so far; 0 for a run that never started, or whose records are damaged."""
        try:
            with _opened(self._path) as records:
                # Cut back to the checkpoint that the run goes on from.
                if records.seek(0, 2) < self._position:
                    self._position = self._steps = 0
                records.seek(self._position)
                new = records.read()
        except RunError:
            return 0
        complete = new[: new.rfind(b"\n") + 1]
        self._position += len(complete)
        self._steps += complete.count(self._STEP)
        return self._steps


@contextlib.contextmanager
def _opened(path):
    """The file at `path`, open for reading; nothing to read if it does not exist.

    Raises:
        RunError: If it cannot be opened, or is something else than a file.
    """
    if not os.path.lexists(path):
        yield io.BytesIO()
        return
    try:
        # Anything else might block, or never end.
        if not path.is_file():
            raise RunError(f"{path} is damaged: expected a file, got {_what_is_at(path)}")
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    with file:
        yield file


def _what_is_at(path):
    if not path.exists():
        return "a link to nothing"
    return "a directory" if path.is_dir() else "a device or a pipe"


def _read_object(path):
    if not os.path.lexists(path):
        return None
    with _opened(path) as file:
        text = file.read(_LARGEST)
    try:
        content = parse_json(text)
    except ValueError as error:
        raise RunError(f"{path} is damaged: it is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        name = type(content).__name__
        raise RunError(f"{path} is damaged: it holds a {name}; expected a JSON object")
    return content


def _check(content, rules, required, path):
    """Checks the values of a file, by their names; those in an object have dots in theirs.

    Raises:
        RunError: If one is missing or not valid.
    """
    inner = [name for name in rules if "." in name]
    # An object before what is in it.
    for names in ([name for name in rules if name not in inner], inner):
        missing = [name for name in names if name in required and not _found(content, name)]
        if missing:
            raise RunError(f"{path} lacks {', '.join(sorted(missing))}")
        for name in names:
            for value in _found(content, name):
                if not rules[name].accepts(value):
                    raise RunError(
                        f"{path} is damaged: {name} must be {rules[name].valid}. "
                        f"Received: {repr(value)[:_SHOWN]}"
                    )


def _found(content, name):
    """A list of the value of that name; empty if there is none."""
    outer, _, inner = name.partition(".")
    if outer not in content:
        return []
    return _found(content[outer], inner) if inner else [content[outer]]
