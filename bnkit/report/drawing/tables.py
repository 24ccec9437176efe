"""What figures draw, as tables: which quantities, at which steps, of which runs."""

import dataclasses

import numpy as np
import pandas as pd

from bnkit.report.drawing import scales
from bnkit.report.statistics import arms


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A column of a frame, and how it is drawn.

    Attributes:
        column: Its name in the frame.
        label: Of the y axis (mathtext).
        scale: "log", where a value that is not positive is a gap; "symlog", which is "log" unless
            there is such a value, and else arithmetic means and an axis logarithmic to both sides
            of 0; "linear", which becomes "symlog" where values are of very different size, unless
            `includes` says what they are; or "percent".
        includes: Values that the y axis shows whatever was measured.
        level: Height of a dashed line.
        level_label: Legend entry of the dashed lines.
        absent: What an empty panel says where no value can be.
        possible: The smallest and the largest value that there can be, or None each.
    """

    column: str
    label: str
    scale: str = "symlog"
    includes: tuple = ()
    level: float | None = None
    level_label: str = ""
    absent: str = ""
    possible: tuple = (None, None)

    def scale_of(self, values):
        """The scale that these values are averaged and drawn on."""
        if self.scale == "symlog" and (values[np.isfinite(values)] > 0).all():
            return "log"
        if self.scale == "linear" and not self.includes and scales.are_wide(values):
            return "symlog"
        return self.scale


def join(tables):
    """One table of several, of which some may be empty."""
    return pd.concat([one for one in tables if len(one)] or tables[:1], ignore_index=True)


def curves(frame, quantities, keys=(), x="step"):
    """What is drawn of `quantities`: the columns of `arms.curves`, and `quantity`.

    Args:
        frame: With `condition` (`arms.with_condition`), `norm, run, seed`, `x` and `keys`.
        quantities: The `Quantity`s to draw.
        keys: As for `arms.curves`.
        x: As for `arms.curves`.
    """
    return join(
        [
            arms.curves(
                frame,
                one.column,
                keys,
                log=one.scale_of(frame[one.column]) == "log",
                x=x,
                possible=one.possible,
            ).assign(quantity=one.column)
            for one in quantities
        ]
    )


def common_steps(frame, alike):
    """The rows of the steps that all runs with the same values in the columns `alike` have."""
    runs = frame.groupby(alike, observed=True)["run"].transform("nunique")
    there = frame.groupby([*alike, "step"], observed=True)["run"].transform("nunique")
    return frame[there == runs]


def at_ends(frame):
    """The rows of the first and the last step of every condition.

    As in a mean over runs, an arm counts only at steps that all its runs have.
    """
    frame = common_steps(frame, ["condition", "norm"])
    steps = frame.groupby("condition", observed=True)["step"]
    first, last = steps.transform("min"), steps.transform("max")
    return frame[frame["step"].eq(first) | frame["step"].eq(last)]


def at_times(frame, times, quantities, x):
    """As `curves`, at some steps of every condition, with `time` and `step`; none is there twice.

    Args:
        frame: As for `curves`.
        times: Name of the time -> Series of condition -> step.
        quantities: As for `curves`.
        x: As for `curves`.
    """
    of_row = frame["condition"].astype(object)
    table = join(
        [
            curves(frame[frame["step"] == of_row.map(steps)], quantities, ["step"], x).assign(
                time=time
            )
            for time, steps in times.items()
        ]
    )
    return table.drop_duplicates(table.columns.difference(["time"]).tolist(), ignore_index=True)
