"""Run directories as they are on disk."""

import dataclasses
import pathlib

from bnkit.messages import one_line
from bnkit.store import RunError, RunFiles, find_runs, read_description, read_records, read_status


class ReportError(ValueError):
    """What is on disk cannot be reported: nothing there, or damaged; the message says what."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run directory as read: `description` is settings.json, `status` is status.json.

    `records` maps a kind to its records in the order written, each `(line number, fields)`, with
    non-finite numbers as JSON has them (`bnkit.store.from_json`).
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
    def train_mean_over(self):
        """Whether records of kind "train" hold the values of a "step" or means over an "epoch"."""
        return self.description.get("train_mean_over", "step")

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
        ReportError: As `load_runs`.
    """
    try:
        return [_read_run(directory) for directory in find_runs(path)]
    except RunError as error:
        raise ReportError(str(error)) from error


def read_sound_runs(path):
    """Every run at or below `path` that can be read, and what is damaged.

    Returns:
        `(runs, damages)`: a list of `Run`, by study and name, and a list of sentences on runs that
        are left out, and on runs that have lost records.

    Raises:
        ReportError: If there is nothing at `path`, or no run there can be read.
    """
    runs, damages = [], []
    try:
        for directory in find_runs(path):
            try:
                runs.append(_read_run(directory))
            except RunError as error:
                name = f"{directory.parent.name}/{directory.name}"
                damages.append(one_line(f"{name} is left out: {error}."))
    except RunError as error:
        raise ReportError(str(error)) from error
    if not runs:
        raise ReportError(f"no run in {path} can be read: {' '.join(damages)}")
    return runs, damages + [sentence for run in runs for sentence in _losses(run)]


def _losses(run):
    """A sentence if a run that is done has recorded fewer steps than it says it has made."""
    recorded, made = len(run.records.get("train", ())), run.status.get("steps", 0)
    if run.state != "done" or run.train_mean_over != "step" or recorded >= made:
        return []
    return [f"{run.study}/{run.name} has lost records: {recorded} of {made} steps are there."]


def _read_run(directory):
    description = read_description(directory)
    if description is None:
        missing = RunFiles(directory).description
        raise RunError(f"{missing} is missing: it was deleted, or a run is just starting there")
    run = Run(directory, description, read_status(directory) or {}, records={})
    for number, fields in read_records(directory):
        run.records.setdefault(fields["kind"], []).append((number, fields))
    return run
