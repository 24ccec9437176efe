"""Runs on disk -> tidy DataFrames."""

import collections
import logging

import pandas as pd

from bnkit import kinds
from bnkit.messages import one_line
from bnkit.report.runs import ReportError, read_runs
from bnkit.store import from_json

_log = logging.getLogger(__name__)


def load_runs(path, kind):
    """Records of one kind under `path`, one row per record, as a tidy DataFrame.

    Args:
        path: A run directory, a study directory, or the directory of studies.
        kind: "train", "eval", "landscape", "random_landscape", "ics", or any other kind that a
            probe has recorded.

    Returns:
        A frame with the columns `study, run, status`, every setting (list settings as tuples),
        `step` and the fields of the record; a field named like a setting is prefixed by its kind.
        "nan" and "inf" are real floats. Lists are exploded together: `landscape` has one row per
        step size (`step_size, loss_after_step, gradient_distance`, with `loss, gradient_norm,
        smoothness` repeated), `random_landscape` the same for every `direction`, `ics` one per
        weight layer (`layer, l2, cosine, gradient_norm`), as have `signal_propagation`, `weights`
        and `batch_norm_identity`; `activations` has one per layer and unit, with its `quantiles`
        and `histogram`, and the `quantile_levels` and `edges` that they refer to, as tuples. In a
        kind not named here, lists of unequal length stay lists. Without a record of a kind that
        bnkit knows, the frame has the same columns and no rows, and a warning in the log says what
        there is instead. `train` also has the number of `classes` of the
        data, NaN for a regression, and in `mean_over` whether its values are those of a "step" or
        means over an "epoch".

    Raises:
        ReportError: If there is nothing at `path`, no run below it, or a damaged file (named, with
            the line); if bnkit does not know this kind, nor has a run recorded it.
    """
    runs = read_runs(path)
    if not any(kind in run.records for run in runs):
        missing = f"no records of kind {kind!r} in {path}: {_what_there_is(runs)}"
        if kind not in kinds.KINDS:
            raise ReportError(one_line(missing))
        probe = kinds.KINDS[kind].probe
        _log.warning("%s%s", one_line(missing), f"; --probes={probe} measures it" if probe else "")
    return frame(runs, kind)


def frame(runs, kind):
    """The tidy DataFrame of `load_runs` for runs that have been read already."""
    tables = [_run_frame(run, kind) for run in runs]
    filled = [table for table in tables if len(table)]
    return pd.concat(filled or tables[:1], ignore_index=True)


def seconds_frame(runs):
    """Seconds by part of every run that has recorded them.

    The columns are `study, run, norm, lr, seed, part, seconds`. What `total` holds beyond the named
    parts is the part "other".
    """
    rows = []
    for run in runs:
        parts = {name: float(value) for name, value in run.status.get("seconds", {}).items()}
        total = parts.pop("total", None)
        if total is not None:
            parts["other"] = max(0.0, total - sum(parts.values()))
        identity = {key: run.settings.get(key) for key in ("norm", "lr", "seed")}
        rows += [
            {"study": run.study, "run": run.name, **identity, "part": part, "seconds": seconds}
            for part, seconds in parts.items()
        ]
    return pd.DataFrame(rows, columns=["study", "run", "norm", "lr", "seed", "part", "seconds"])


def _what_there_is(runs):
    """The kinds that have been recorded; how the runs ended if there are none."""
    there = {kind for run in runs for kind in run.records}
    if there:
        known = [kind for kind in kinds.KINDS if kind in there]
        return f"there are {', '.join([*known, *sorted(there.difference(known))])}"
    states = collections.Counter(run.state for run in runs)
    ends = ", ".join(f"{number} {state}" for state, number in states.items())
    reasons = [f"{run.name}: {run.status['reason']}" for run in runs if run.status.get("reason")]
    return f"nothing is recorded ({ends})" + "".join(f"; {reason}" for reason in reasons[:1])


def _run_frame(run, kind):
    rows = []
    for _, fields in run.records.get(kind, []):
        rows += _explode(kind, from_json(fields))
    table = pd.DataFrame(rows)
    for name in ("step", *_columns(kind)):
        if name not in table:
            table[name] = pd.Series(float("nan"), index=table.index, dtype=float)
    numbers = kinds.KINDS[kind].columns if kind in kinds.KINDS else ()
    for name in table.columns.difference(["step"]):
        if pd.api.types.is_numeric_dtype(table[name]) or name in numbers:
            table[name] = table[name].astype(float)
    table = table.rename(columns={name: f"{kind}_{name}" for name in table if name in run.settings})
    if kind == "train":
        table["classes"] = float(run.classes or "nan")
        table["mean_over"] = run.train_mean_over
    columns = {
        name: pd.Series([value] * len(table), index=table.index)
        for name, value in run.identity.items()
    }
    return pd.concat([pd.DataFrame(columns, index=table.index), table], axis=1)


def _columns(kind):
    """Columns that even an empty frame has; none for a kind that is not in the registry."""
    known = kinds.KINDS.get(kind)
    if known is None:
        return ()
    lists = [field.column for field in known.fields if field.is_list]
    return tuple(dict.fromkeys([*known.labels.values(), *known.columns, *lists]))


def _explode(kind, fields):
    """Rows of one record: one for every entry of its lists, with its scalars repeated."""
    known = kinds.KINDS.get(kind)
    whole, columns = _lists_of_record(known), _column_of_list(known)
    fields = {name: value for name, value in fields.items() if name != "kind"}
    lists = {
        name: value
        for name, value in fields.items()
        if isinstance(value, list) and name not in whole
    }
    if len(set(map(len, lists.values()))) > 1:
        lists = {}  # Of a kind that is not known; the others have been checked.
    scalars = {name: value for name, value in fields.items() if name not in lists}
    scalars |= {name: _entry(scalars[name]) for name in whole if name in scalars}
    if not lists:
        return [scalars]
    names = [columns.get(name, name) for name in lists]
    return [
        {**scalars, **dict(zip(names, map(_entry, values), strict=True))}
        for values in zip(*lists.values(), strict=True)
    ]


def _lists_of_record(kind):
    """Lists that belong to a record as a whole: repeated in every row, as tuples."""
    fields = kind.fields if kind else ()
    return [f.name for f in fields if f.is_list and f.layout is kinds.Layout.RECORD]


def _column_of_list(kind):
    """Name of a list in a record -> name of the column that its entries are in."""
    if kind is None:
        # A kind that is not bnkit's may use bnkit's names for its lists.
        return {name: column for labels in kinds.LABELS.values() for name, column in labels.items()}
    return {**kind.labels, **{field.name: field.column for field in kind.fields}}


def _entry(value):
    return tuple(value) if isinstance(value, list) else value
