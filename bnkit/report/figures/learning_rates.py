"""Runs that differ in the learning rate: what the figures that compare them share."""

import numpy
import pandas

from bnkit import store
from bnkit.report.statistics import arms, training

RUN = ["study", "run"]
CELL = ["condition", "norm", "lr"]


def compare(rates, norms=1):
    """A test of runs: are there `norms` normalisations with `rates` learning rates each?

    All under one condition, so that only normalisation, learning rate and seed differ.
    """

    def applies(runs):
        settings = pandas.DataFrame([{**run.identity, "step": 0} for run in runs])
        return len(comparable(arms.with_condition(settings, lr=False), rates, norms)) > 0

    return applies


def comparable(table, rates, norms=1):
    """The rows of the conditions in which `norms` normalisations have `rates` learning rates."""
    found = table.groupby(["condition", "norm"], observed=True)["lr"].nunique()
    enough = (found >= rates).groupby("condition", observed=True).sum() >= norms
    rows = table[table["condition"].isin(enough.index[enough])]
    return rows.assign(condition=rows["condition"].cat.remove_unused_categories())


def final(train):
    """One row per run that has ended: settings, and means over the last steps as in the headlines.

    `step` is the last one.
    """
    train = train[train["status"].isin(store.ENDED)]
    last_step = train.groupby(RUN)["step"].transform("max")
    last = train[train["step"] > last_step - training.LAST]
    means = last.groupby(RUN)[["accuracy", "loss"]].mean()
    rows = train.drop(columns=["accuracy", "loss"]).drop_duplicates(RUN, keep="last")
    rows = rows.assign(diverged=rows["status"] == "diverged")
    return rows.merge(means.reset_index(), on=RUN)


def log(values):
    return numpy.log(values.where(values > 0))
