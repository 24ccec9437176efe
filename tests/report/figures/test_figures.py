"""All figures alike: they change nothing, and say so where there is nothing to draw."""

import math

import matplotlib
import matplotlib.pyplot
import pandas as pd
import pytest
from artists import message
from matplotlib.figure import Figure

from bnkit import kinds
from bnkit.report import figures, frames
from bnkit.report.runs import read_runs


@pytest.fixture
def tables(runs):
    def load():
        found = read_runs(runs.root)
        by_kind = {kind: frames.frame(found, kind) for kind in kinds.KINDS}
        return {**by_kind, "seconds": frames.seconds_frame(found)}

    return load


@pytest.mark.parametrize("entry", figures.FIGURES, ids=lambda entry: entry.name)
def test_no_figure_changes_its_input_or_the_style_of_others(runs, tables, entry):
    for norm in ("none", "bn", "my.module:<$Norm_"):
        runs(norm=norm, lr=0.1, steps=60)
    runs(model="dln", norm="none", steps=60)
    loaded = tables()
    before = {kind: table.copy(deep=True) for kind, table in loaded.items()}
    style_before = dict(matplotlib.rcParams)
    assert entry.missing(loaded) is None
    figure = entry.draw(*[loaded[kind] for kind in entry.kinds])
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    for kind in entry.kinds:
        pd.testing.assert_frame_equal(loaded[kind], before[kind])
    assert dict(matplotlib.rcParams) == style_before
    assert matplotlib.pyplot.get_fignums() == []


@pytest.mark.parametrize("entry", figures.FIGURES, ids=lambda entry: entry.name)
def test_without_a_value_every_figure_says_so(runs, tables, entry):
    runs(steps=60)
    loaded = tables()
    for kind in entry.kinds:
        kept = ["lr", "step_size", "width", "direction"]
        numeric = loaded[kind].select_dtypes(float).columns.difference(kept)
        loaded[kind].loc[:, numeric] = math.nan
    if entry.name == "time_spent":
        loaded["seconds"] = loaded["seconds"].iloc[:0]
    assert entry.missing(loaded) == entry.kinds[0]
    assert message(entry.draw(*[loaded[kind] for kind in entry.kinds])).startswith("No ")


def test_every_figure_has_a_name_of_its_own():
    names = [entry.name for entry in figures.FIGURES]
    assert len(set(names)) == len(names) == 26
