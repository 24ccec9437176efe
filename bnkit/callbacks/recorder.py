"""What a probe has recorded, and how users look at it."""

from bnkit import kinds
from bnkit.callbacks.base import Callback


class Recorder(Callback):
    """A callback that keeps records.

    Attributes:
        kind: The kind of its records; the first, if it writes several.
        records: All records so far.
        first_learning_rate: The rate at which the training began; None before it has.
    """

    kind = None

    def __init__(self, when):
        super().__init__(when)
        self.records = []
        self.first_learning_rate = None
        self._keeps_all = True

    @property
    def kinds(self):
        """Names of all kinds of records that it writes, the probe's own first."""
        return tuple(kind.name for kind in kinds.of_probe(self.kind)) or (self.kind,)

    def frame(self, kind=None):
        """The records as a tidy DataFrame, as `bnkit.load_runs` gives those of a run.

        `kind`: for a probe with records of several kinds; the probe's first by default.
        """
        from bnkit.report import frames

        return frames.frame([self._run()], kind or self.kind)

    def plot(self, figure=None):
        """A matplotlib figure of the records.

        Args:
            figure: One of the names in `figures`; the first by default.

        Raises:
            ValueError: for another name.
        """
        from bnkit.report import frames

        entries = self._entries()
        figure = next(iter(entries)) if figure is None else figure
        if figure not in entries:
            valid = ", ".join(entries)
            raise ValueError(f"`figure` must be one of {valid}. Received: figure={figure!r}")
        entry = entries[figure]
        return entry.draw(*[frames.frame([self._run()], kind) for kind in entry.kinds])

    def restore(self, records):
        """Takes over what an interrupted run has recorded of this kind."""
        self.records = list(records)
        self._forget()

    def keep_first_and_last(self):
        """For long runs whose records are on disk: of each kind, keeps two in memory."""
        self._keeps_all = False
        self._forget()

    def _forget(self):
        if self._keeps_all:
            return
        first = {record["kind"]: record for record in reversed(self.records)}
        last = {record["kind"]: record for record in self.records}
        self.records = [*first.values(), *(r for r in last.values() if r not in first.values())]

    def _entries(self):
        """Name -> entry, the report's figures that can be drawn from these records alone."""
        from bnkit.report import figures

        own = set(self.kinds)
        return {entry.name: entry for entry in figures.FIGURES if set(entry.kinds) <= own}

    def _run(self):
        """The records as a run that the report reads."""
        from bnkit.report.runs import Run

        if self.model is None:
            raise ValueError(
                f"{type(self).__name__} has no records yet: hand it to `model.fit` first. "
                "Received: no model"
            )
        settings = {"norm": self.model.name, "lr": self.first_learning_rate, "seed": 0}
        records = {}
        for number, record in enumerate(self.records, start=1):
            records.setdefault(record["kind"], []).append((number, record))
        description = {"study": "model.fit", "run": self.model.name, "settings": settings}
        return Run(None, description, {}, records)
