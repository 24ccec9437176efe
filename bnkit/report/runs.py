"""Run directories as they are on disk."""

import dataclasses
import json
import pathlib

from bnkit.store import FORMAT


class ReportError(ValueError):
    """What is on disk cannot be reported: nothing there, or damaged; the message says what."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run directory as read: `description` is settings.json, `status` is status.json.

    `records` maps a kind to its records in the order written, each `(line number, fields)`.
    """

    path: pathlib.Path
    description: dict
    status: dict
    records: dict

    @property
    def study(self):
        return self.description["study"]

    @property
    def name(self):
        return self.description["run"]

    @property
    def settings(self):
        return self.description["settings"]

    @property
    def identity(self):
        """`study, run, status` and every setting, lists as tuples: what every row starts with."""
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.settings.items()
        }
        return {"study": self.study, "run": self.name, "status": self.state, **settings}

    @property
    def state(self):
        """done, running, interrupted, diverged or failed; "unknown" without a status.json."""
        return self.status.get("status", "unknown")

    @property
    def classes(self):
        """Number of classes of the data; None where it is a regression, or not known yet."""
        return self.description.get("data", {}).get("classes")

    @property
    def is_regression(self):
        """Whether there is nothing to classify, and so no accuracy."""
        return "classes" in self.description.get("data", {}) and self.classes is None


def read_runs(path):
    """Every run at or below `path` as a list of `Run`, by study and name.

    Raises:
      ReportError: as `load_runs`.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        found = "is a file" if path.exists() else "does not exist"
        raise ReportError(f"{path} {found}; expected the directory of a run, a study or of studies")
    for pattern in ("settings.json", "*/settings.json", "*/*/settings.json"):
        found = sorted(path.glob(pattern))
        if found:
            return [_read_run(settings.parent) for settings in found]
    raise ReportError(
        f"no runs in {path}: looked for settings.json, */settings.json and */*/settings.json"
    )


def _read_run(directory):
    description = _read_json(directory / "settings.json")
    missing = {"format", "study", "run", "settings"} - set(description)
    if missing:
        raise ReportError(f"{directory / 'settings.json'} lacks {', '.join(sorted(missing))}")
    if description["format"] != FORMAT:
        raise ReportError(
            f"{directory / 'settings.json'} has format {description['format']!r}; "
            f"this version of bnkit reads format {FORMAT}"
        )
    status = directory / "status.json"
    return Run(
        path=directory,
        description=description,
        status=_read_json(status) if status.exists() else {},
        records=_read_records(directory / "metrics.jsonl"),
    )


def _read_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReportError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ReportError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def _read_records(path):
    records = {}
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            kind, _ = fields["kind"], fields["step"]
        except (ValueError, KeyError, TypeError) as error:
            # Only what follows the last newline can be a line that is still being written.
            if number == len(lines):
                break
            shown = line[:60].decode("utf-8", "replace")
            raise ReportError(
                f"{path}, line {number} is damaged: expected a JSON object with step and kind, "
                f"got {shown!r}"
            ) from error
        records.setdefault(kind, []).append((number, fields))
    return records
