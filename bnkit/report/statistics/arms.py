"""Which runs form an arm, and what the runs of an arm say together.

An *arm* is a normalisation under one *condition*: everything else that was set, except the seed.
Only runs of the same arm are averaged; a figure gives every condition its own panels.
"""

import numpy as np
import pandas as pd

from bnkit.report import naming
from bnkit.report.statistics import student

NOT_CONDITIONS = ["run", "status", "norm", "seed"]
# Of fewer runs there is no interval: the runs themselves say more.
FEWEST_FOR_INTERVAL = 5


def with_condition(frame, lr=True):
    """A copy of `frame` with the column `condition`: "lr 0.5", with whatever else differs.

    The settings are the columns before `step`, as `load_runs` has them. The learning rate is always
    named, other settings only if the runs differ in them; the study only if another one has the
    same runs (`repeated_in_studies`). The column is categorical, ordered by the values that it is
    made of.

    Args:
        frame: As from `load_runs`.
        lr: Whether learning rates are conditions of their own. Otherwise they share one, for
            figures over learning rates; it is "" if nothing else differs.
    """
    ignored = NOT_CONDITIONS if repeated_in_studies(frame) else [*NOT_CONDITIONS, "study"]
    settings = frame.columns[: frame.columns.get_loc("step")].difference(ignored, sort=False)
    differing = [
        name for name in settings if name != "lr" and frame[name].nunique(dropna=False) > 1
    ]
    # A run written before a setting existed has no value for it; None equals itself, NaN does not.
    names = ["lr", *differing] if lr else differing
    values = frame[names].astype(object)
    values = values.where(values.notna(), None)
    # Without any column `itertuples` gives nothing, and there is one condition.
    rows = list(values.itertuples(index=False, name=None)) or [()] * len(frame)
    combinations = list(dict.fromkeys(rows))
    combinations.sort(key=lambda values: [(str(type(value)), value) for value in values])
    labels = {
        combination: ", ".join(map(_setting, names, combination)) for combination in combinations
    }
    column = [labels[combination] for combination in rows]
    order = list(dict.fromkeys(labels.values()))
    return frame.assign(condition=pd.Categorical(column, categories=order, ordered=True))


def repeated_in_studies(frame):
    """Whether a run of one study is there in another one, too, with the same settings and seed.

    Then the studies repeat each other, and each is judged on its own. Otherwise they are parts of
    one comparison: a layer may be held against baselines that were trained before.
    """
    if "study" not in frame or frame["study"].nunique() < 2:
        return False
    settings = frame.columns[: frame.columns.get_loc("step")].difference(["run", "status"])
    runs = frame[settings].drop_duplicates()
    return bool(runs.duplicated(list(settings.difference(["study"]))).any())


def norms(frame):
    """The normalisations in `frame`, in the order of every figure."""
    return sorted(frame["norm"].unique(), key=naming.rank)


def curves(frame, value, keys=(), window=1, log=False, x="step", possible=(None, None)):
    """What is drawn of `value` against the step: a curve per run, and one per arm.

    Args:
        frame: With `condition, norm, run, seed`, `x`, `value` and `keys`.
        value: Name of the column to draw.
        keys: Further columns that tell curves apart, such as the layer.
        window: The curve of an arm is over running means of this many steps (this one and those
            before it); the curves of the runs are never smoothed.
        log: Average logarithms, over steps and over runs, as befits a logarithmic axis (geometric
            mean).
        x: Name of the column that `value` is drawn against.
        possible: The smallest and the largest value that there can be, or None each.

    Returns:
        `condition, norm, keys, run, seed, series, x, value, low, high, runs`; `series` is "run" or
        "mean". `low, high` bound the 95 % interval (Student's t) of the mean over `runs` runs, five
        or more, and within what is possible. An
        arm has a mean only at steps where all its runs have a finite value, so that a run that ends
        early shows as the end of the mean and not as a jump. A single run is its own mean, and is
        not repeated as "run" unless smoothed.
    """
    arm = ["condition", "norm", *keys]
    raw = frame[[*arm, "run", "seed", x]].assign(value=frame[value].astype(float))
    raw = raw.sort_values([*arm, "run", x], kind="stable")
    smooth = raw
    if log:
        # 0 has no place on a logarithmic axis.
        smooth = raw.assign(value=np.log10(raw["value"].where(raw["value"] > 0)))
    if window > 1:
        # By step and not by row: records of `model.fit` are an epoch apart.
        by_step = smooth.set_index(pd.to_timedelta(smooth[x], unit="s"))
        by_run = by_step.groupby([*arm, "run"], observed=True, sort=False)["value"]
        # In the order of the rows, which are sorted by run.
        smooth = smooth.assign(value=by_run.rolling(f"{window}s").mean().to_numpy())
    mean = _over_runs(smooth, arm, x)
    if log:
        mean[["value", "low", "high"]] = 10.0 ** mean[["value", "low", "high"]]
    mean[["low", "high"]] = mean[["low", "high"]].clip(*possible)
    many = raw.groupby(arm, observed=True)["run"].transform("nunique") > 1
    shown = raw if window > 1 else raw[many]
    series = [shown.assign(series="run"), mean.assign(series="mean")]
    table = pd.concat([one for one in series if len(one)] or series[:1], ignore_index=True)
    columns = [*arm, "run", "seed", "series", x, "value", "low", "high", "runs"]
    return table.reindex(columns=columns)


def bands(landscape, value, line=None):
    """Smallest and largest `value` over the step sizes, at every probed step of every arm.

    If several directions were measured at a step, over the directions, too. NaN counts as
    unbounded: the band goes up to infinity. With a `line`, which is the value at step size 0, its
    value belongs to the band. Of several runs there are also the means of their smallest and of
    their largest values, at steps where all have been probed.

    Args:
        landscape: Records of kind "landscape" or "random_landscape", with `condition`.
        value: Name of the column.
        line: Name of a further column, which has one value per step.

    Returns:
        `condition, norm, run, series, step, low, high, runs`, and the column `line`; `series` is
        "run" or "mean". A single run is its own mean, and is not repeated as "run".
    """
    run = ["condition", "norm", "run", "step"]
    table = landscape.assign(
        low=landscape[value].astype(float), high=landscape[value].fillna(np.inf).astype(float)
    )
    chosen = {"low": ("low", "min"), "high": ("high", "max")}
    if line:
        chosen[line] = (line, "first")
    table = table.groupby(run, observed=True, as_index=False).agg(**chosen)
    if line:
        table["low"] = table[["low", line]].min(axis=1)
        table["high"] = table[["high", line]].max(axis=1)
    arm = table.groupby(["condition", "norm"], observed=True)["run"].transform("nunique")
    means = {name: (name, "mean") for name in chosen}
    mean = (
        table.assign(arm=arm)
        .groupby(["condition", "norm", "step"], observed=True, as_index=False)
        .agg(**means, runs=("run", "nunique"), arm=("arm", "first"))
    )
    mean = mean[mean["runs"] == mean["arm"]].assign(series="mean")
    series = [table[arm > 1].assign(series="run"), mean]
    table = pd.concat([one for one in series if len(one)] or series[:1], ignore_index=True)
    columns = ["condition", "norm", "run", "series", "step", "low", "high", "runs"]
    return table.reindex(columns=[*columns, line] if line else columns)


def ends(frame, value, log=False):
    """Last finite `value` of every run that diverged: `condition, norm, run, step, value`.

    Empty if `frame` has no column `status`.
    """
    columns = ["condition", "norm", "run", "step", value]
    if "status" not in frame:
        return frame[columns].iloc[:0]
    drawable = np.isfinite(frame[value])
    if log:
        drawable &= frame[value] > 0
    diverged = frame.loc[(frame["status"] == "diverged") & drawable, columns]
    last = diverged.sort_values("step", kind="stable")
    return last.groupby(["condition", "norm", "run"], observed=True, as_index=False).last()


def _over_runs(frame, arm, x):
    values = frame["value"]
    frame = frame.assign(value=values.where(np.isfinite(values)))
    members = frame.groupby(arm, observed=True)["run"].nunique().rename("members")
    statistics = (
        frame.groupby([*arm, x], observed=True)["value"]
        .agg(value="mean", deviation="std", runs="count")
        .reset_index()
        .merge(members.reset_index(), on=arm)
    )
    runs = statistics["runs"]
    half = student.quantile(runs) * statistics["deviation"] / np.sqrt(runs)
    half = half.where(runs >= FEWEST_FOR_INTERVAL)
    complete = runs == statistics["members"]
    statistics["value"] = statistics["value"].where(complete)
    for name, bound in (("low", -half), ("high", half)):
        statistics[name] = statistics["value"] + bound
    # An infinite value has no place in a mean, but it must not vanish from the figure either.
    infinite = frame.assign(infinite=np.isposinf(values)).groupby([*arm, x], observed=True)
    infinite = infinite["infinite"].any().reset_index(drop=True)
    statistics["value"] = statistics["value"].mask(infinite, np.inf)
    return statistics[[*arm, x, "value", "low", "high", "runs"]]


def _setting(name, value):
    return f"{name} {_short(value)}"


def _short(value):
    if isinstance(value, tuple):
        return f"{_short(value[0])}…{_short(value[-1])} ({len(value)})" if value else "()"
    return f"{value:g}" if isinstance(value, float) else str(value)
