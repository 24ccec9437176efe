"""Where a run keeps what, and where runs are found."""

import dataclasses
import itertools
import pathlib

from bnkit.store.errors import RunError

_DESCRIPTION = "settings.json"
_STATUS = "status.json"
_RECORDS = "metrics.jsonl"
# How the names of event files begin, and how those of a run and of its report end: there may be
# some that bnkit has not written.
EVENTS, RUN_EVENTS, REPORT_EVENTS = "events.out.tfevents.", ".bnkit", ".report"
# Names that a message lists of what is in a directory.
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The files of one run, whether they are there or not.

    Attributes:
        directory: `RUNS/STUDY/RUN`.
    """

    directory: pathlib.Path

    @property
    def description(self):
        return self.directory / _DESCRIPTION

    @property
    def status(self):
        return self.directory / _STATUS

    @property
    def records(self):
        return self.directory / _RECORDS

    @property
    def checkpoints(self):
        return self.directory / "checkpoints"

    @property
    def tensorboard(self):
        """Where its event files are: TensorBoard names a run by their directory.

        Runs of earlier versions of bnkit go on in a directory below it.
        """
        return self.older_tensorboard if self.older_tensorboard.is_dir() else self.directory

    @property
    def older_tensorboard(self):
        """Where earlier versions of bnkit have put the event files."""
        return self.directory / "tensorboard"

    @property
    def events(self):
        """The event files, wherever they are."""
        own = (self.directory.glob(f"{EVENTS}*{end}") for end in (RUN_EVENTS, REPORT_EVENTS))
        return [*itertools.chain(*own), *self.older_tensorboard.glob(f"{EVENTS}*")]

    @property
    def log(self):
        """What the process of a study's run prints."""
        return self.directory / "run.log"

    @property
    def lock(self):
        """Held by the process that writes the run."""
        return self.directory / ".lock"

    @property
    def written(self):
        """All that bnkit writes in the directory of a run, but for `events`."""
        return (
            self.lock,
            self.description,
            self.status,
            self.records,
            self.checkpoints,
            self.older_tensorboard,
            self.log,
        )

    @property
    def has_checkpoint(self):
        """Whether there is a checkpoint to go on from."""
        return any(self.checkpoints.glob("*.index"))

    def line(self, number):
        """How messages name a line of the records; the first is 1."""
        return f"{self.records}, line {number}"


def is_run(path):
    """Whether a directory is that of a run: what it measures has been described."""
    return RunFiles(pathlib.Path(path)).description.exists()


def find_runs(path):
    """The directories of all runs at or below `path`, sorted.

    Args:
        path: A run directory, a study directory, or the directory of studies.

    Raises:
        RunError: If there is nothing at `path`, or no run.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        found = "is a file" if path.exists() else "does not exist"
        raise RunError(f"{path} {found}; expected the directory of a run, a study or of studies")
    for depth in ("", "*/", "*/*/"):
        # A run that has lost its description is one, too: whoever reads it must say so.
        found = {
            file.parent
            for name in (_DESCRIPTION, _STATUS, _RECORDS)
            for file in path.glob(f"{depth}{name}")
        }
        if found:
            return sorted(found)
    names = sorted(entry.name for entry in path.iterdir())
    shown = ", ".join(names[:_SHOWN] + ["..."] * (len(names) > _SHOWN))
    there = f"holds {shown}" if names else "is empty"
    raise RunError(
        f"no runs in {path}, which {there}: "
        f"looked for {_DESCRIPTION}, */{_DESCRIPTION} and */*/{_DESCRIPTION}"
    )


def tensorboard_directory(path):
    """Where TensorBoard finds what is shown of a run, or of a whole study."""
    path = pathlib.Path(path)
    return RunFiles(path).tensorboard if is_run(path) else path / "report"
