"""Loss while the learning rate rises, in range tests (Smith 2017, section 3.3)."""

import pandas as pd

from bnkit.report.drawing import panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms, range_test

QUANTITIES = (tables.Quantity("loss", "training loss", "log"),)
# A curve ends where the loss is so many times that of its start: what follows would flatten it.
LARGEST = 3


def data(train):
    """What `draw` draws: `quantity`, and the columns of `arms.curves` over `rate`."""
    tests = _tests(train)
    curves = [_until_it_explodes(range_test.with_rates(one)) for _, one in _runs(tests)]
    return tables.curves(
        pd.concat(curves or [tests.assign(rate=tests["lr"])]), QUANTITIES, x="rate"
    )


def draw(train):
    """The smoothed training loss against the learning rate of its step, both logarithmic."""
    table = data(train)
    rows = panels.by_row(QUANTITIES, panels.of_conditions(table))
    footer = [
        f"Mean over {range_test.SMOOTHED:.0%} of the steps around.",
        f"A curve ends at {LARGEST} times its first loss.",
    ]
    return panels.draw("Loss while the learning rate rises", table, rows, footer, x="rate")


def _tests(train):
    return arms.with_condition(train[_is_test(train)], lr=False)


def _is_test(train):
    return train["schedule"] == "range" if "schedule" in train else train["step"] < 0


def _runs(tests):
    return tests.groupby(["study", "run"], observed=True)


def _until_it_explodes(test):
    too_large = test["loss"] > LARGEST * test["loss"].dropna().iloc[:1].max()
    return test[~too_large.cummax()]


ENTRY = Entry(
    "range_test",
    "Range test of the learning rate",
    draw,
    data,
    {"train": "loss"},
    f"Training loss of runs whose learning rate rises (schedule range), smoothed over "
    f"{range_test.SMOOTHED:.0%} of their steps, against the rate. Where the curve is lowest, "
    f"training went from better to worse. A curve ends at {LARGEST} times its first loss.",
    "Not in the paper. Smith 2017 (1506.01186), section 3.3.",
    applies=lambda runs: any(run.settings.get("schedule") == "range" for run in runs),
)
