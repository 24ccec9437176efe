"""Runs that differ in the learning rate: which are compared, and what belongs to their report."""

import itertools

import pandas as pd
import pytest
import rates

from bnkit.report import figures, frames
from bnkit.report.runs import read_runs

NAMES = ("largest_learning_rate", "learning_rate_envelope", "smoothness_map")


@pytest.mark.parametrize(
    ("norms", "measured", "expected"),
    [
        (("bn",), (0.1,), ()),
        (("bn",), (0.1, 0.5), NAMES[1:2]),
        (("bn",), rates.RATES, NAMES[:2]),
        (("bn", "none"), (0.1, 0.5), NAMES[1:2]),
        (("bn", "none"), rates.RATES, NAMES),
    ],
)
def test_they_belong_to_a_report_of_enough_learning_rates(runs, norms, measured, expected):
    for norm, lr, seed in itertools.product(norms, measured, (0, 1)):
        runs(norm=norm, lr=lr, seed=seed, steps=1, kinds=())
    # Other settings make no further learning rate of the same condition.
    runs(norm="bn", lr=0.9, steps=1, kinds=(), momentum=0.9)
    found = read_runs(runs.root)
    entries = [one for one in figures.FIGURES if one.name in NAMES]
    assert tuple(one.name for one in entries if one.applies(found)) == expected


def test_of_runs_on_disk_everything_is_drawn_and_nothing_changed(runs):
    for norm, lr in itertools.product(("none", "bn"), (0.1, 0.2, 0.5)):
        runs(norm=norm, lr=lr, steps=130, kinds=("train", "landscape"))
    found = read_runs(runs.root)
    for entry in (one for one in figures.FIGURES if one.name in NAMES):
        tables = [frames.frame(found, kind) for kind in entry.kinds]
        before = [table.copy(deep=True) for table in tables]
        figure = entry.draw(*tables)
        figure.draw_without_rendering()
        for table, other in zip(tables, before, strict=True):
            pd.testing.assert_frame_equal(table, other)
        assert figure.axes[0].has_data() and len(entry.data(*tables)) >= 6
    # Without normalisation nothing trains at 0.5: the last figure says so.
    assert len(figure.axes[0].patches) == 1
