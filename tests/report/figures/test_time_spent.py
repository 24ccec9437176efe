"""Time spent, by part of the run."""

import pandas as pd
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


def test_parts_that_are_thin_everywhere_are_counted_as_other():
    rows = [("a", "train", 90.0), ("a", "records", 0.5), ("a", "data", 0.5), ("a", "other", 1.0),
            ("b", "train", 90.0), ("b", "records", 5.0), ("b", "data", 0.5)]  # fmt: skip
    seconds = pd.DataFrame(rows, columns=["run", "part", "seconds"])
    seconds = seconds.assign(study="s", norm="bn", lr=0.1, seed=0)
    data = time_spent.ENTRY.data(seconds).set_index(["run", "part"])["seconds"].to_dict()
    assert data == {
        ("a", "train"): 90.0, ("a", "records"): 0.5, ("a", "other"): 1.5,
        ("b", "train"): 90.0, ("b", "records"): 5.0, ("b", "other"): 0.5,
    }  # fmt: skip
