"""What the report has to know about a figure."""

import collections.abc
import dataclasses

from bnkit import kinds


@dataclasses.dataclass(frozen=True)
class Entry:
    """One figure of a report.

    Attributes:
        name: Of its files.
        title: On the page.
        draw: `draw(*frames) -> Figure`; takes the frames of `kinds`, in this order.
        data: `data(*frames) -> DataFrame`: exactly what is drawn.
        needs: The kinds that the figure cannot do without -> the column that must hold a value.
        caption: What is seen.
        source: Where the paper, or whose work, shows it.
        optional: Further kinds, which it can do without.
        applies: `applies(runs)` says whether the figure is to be expected of these runs. By
            default, whether its kinds of records are (`are_measured`).
    """

    name: str
    title: str
    draw: collections.abc.Callable
    data: collections.abc.Callable
    needs: dict
    caption: str
    source: str
    optional: tuple = ()
    applies: collections.abc.Callable | None = None

    def __post_init__(self):
        if self.applies is None:
            object.__setattr__(self, "applies", lambda runs: are_measured(self.kinds, runs))

    @property
    def kinds(self):
        """The kinds whose frames it is drawn from."""
        return (*self.needs, *self.optional)

    @property
    def group(self):
        """The part of the page that it belongs to."""
        return kinds.KINDS[self.kinds[0]].group if self.kinds[0] in kinds.KINDS else kinds.COST

    def missing(self, frames):
        """The first kind in `frames` (by kind) without the values needed, or None."""
        for kind, column in self.needs.items():
            if column not in frames[kind] or not frames[kind][column].notna().any():
                return kind
        return None


def are_measured(names, runs):
    """Whether `runs` have records of all these kinds, or their probes were asked for.

    What needs no probe is always there.
    """
    probes = {name: kinds.KINDS[name].probe for name in names if name in kinds.KINDS}
    return all(
        any(name in run.records or probe in run.settings.get("probes", ()) for run in runs)
        for name, probe in probes.items()
        if probe
    )
