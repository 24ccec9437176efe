"""Time spent, by part of the run."""

import pytest

from bnkit.report import frames
from bnkit.report.figures import time_spent
from bnkit.report.runs import read_runs


def test_time_spent_stacks_to_the_total(runs):
    seconds = frames.seconds_frame(read_runs(runs(steps=30)))
    (axes,) = time_spent.ENTRY.draw(seconds).axes
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    total = seconds["seconds"].sum()
    assert max(ends) == pytest.approx(total)
    written = [text.get_text() for text in axes.texts if text.get_text()]
    # Of 56 s the parts of 1.2 s are too narrow for their number; 2.0 s and 55 s are not parts.
    assert written[-1] == f"{total:.0f} s" and {"24", "12", "9.0", "4.0"} <= set(written)
    assert "1.2" not in written
    assert axes.get_xlabel() == "wall-clock time (s)"


def test_runs_with_the_same_settings_are_told_apart_by_their_names(runs):
    for width in (0.25, 0.5):
        runs(steps=30, study=f"width{width}", width=width)
    (axes,) = time_spent.ENTRY.draw(frames.seconds_frame(read_runs(runs.root))).axes
    labels = [one.get_text() for one in axes.get_yticklabels()]
    assert [one.split("/")[0] for one in labels] == ["width0.25", "width0.5"]
