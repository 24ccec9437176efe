"""Runs that differ in the learning rate: what the figures that compare them share."""

import numpy as np
import pandas as pd

from bnkit import store
from bnkit.report.statistics import arms, training

RUN = ["study", "run"]
CELL = ["condition", "norm", "lr"]


def are_compared(runs, rates, norms=1):
    """Whether `norms` normalisations have `rates` learning rates each, under one condition.

    So that only normalisation, learning rate and seed differ.
    """
    settings = pd.DataFrame([{**run.identity, "step": 0} for run in runs])
    return len(comparable(arms.with_condition(settings, lr=False), rates, norms)) > 0


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
    """Logarithms, NaN where there is none."""
    return np.log(values.where(values > 0))
