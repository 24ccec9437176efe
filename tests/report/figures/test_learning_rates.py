"""Runs that differ in the learning rate: which are compared, and what belongs to their report."""

import itertools

import pandas
import pytest
import rates

from bnkit.report import figures, frames, load_runs
from bnkit.report.runs import read_runs
from bnkit.report.statistics import arms

NAMES = ("largest_learning_rate", "learning_rate_envelope", "smoothness_map")


def test_without_the_learning_rate_a_condition_is_what_else_differs():
    alike = pandas.concat([rates.train(0.1), rates.train(0.2, seed=1, norm="none")])
    assert set(arms.with_condition(alike, lr=False)["condition"]) == {""}
    other = pandas.concat(
        [rates.train(lr, width=width) for lr in (0.1, 0.2) for width in (0.5, 1.0)]
    )
    labelled = arms.with_condition(other, lr=False)
    assert list(labelled["condition"].cat.categories) == ["width 0.5", "width 1"]
    assert (labelled["condition"] == labelled["width"].map("width {:g}".format)).all()
    assert len(arms.with_condition(alike.iloc[:0], lr=False)) == 0


def test_training_records_have_the_number_of_classes(runs):
    runs(steps=30), runs(steps=30, model="dln")
    classes = load_runs(runs.root, "train").groupby("model")["classes"].agg(["min", "max"])
    assert classes.loc["vgg11"].tolist() == [10, 10] and classes.loc["dln"].isna().all()


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
            pandas.testing.assert_frame_equal(table, other)
        assert figure.axes[0].has_data() and len(entry.data(*tables)) >= 6
    # Without normalisation nothing trains at 0.5: the last figure says so.
    assert len(figure.axes[0].patches) == 1
