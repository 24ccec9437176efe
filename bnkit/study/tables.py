"""What the terminal shows of a study: tables with a row for every run."""

import contextlib
import dataclasses
import math

import pandas as pd

from bnkit import waiting
from bnkit.report.runs import ReportError, read_runs
from bnkit.report.statistics.headline import headline
from bnkit.store import is_run
from bnkit.study.grids import AXES

# Columns of every table, even if they are the same for all runs.
_ALWAYS = ("norm", "lr", "seed")


def read_headlines(outcomes, study_dir):
    """`Settings` -> headline of the report, with the `seconds` of the run over all its calls.

    A run that failed before it recorded anything has no headline, nor has one that is damaged.
    """
    heads = {}
    for settings in (outcome.settings for outcome in outcomes):
        directory = study_dir / settings.run_id
        if not is_run(directory):
            continue
        with contextlib.suppress(ReportError):
            (run,) = read_runs(directory)
            seconds = run.status.get("seconds", {}).get("total")
            heads[settings] = headline(run) | {"seconds": seconds}
    return heads


def outcome_table(outcomes, heads):
    """How every run came out, as a `pandas.DataFrame`.

    Its columns are `norm, lr, seed` and whatever else differs, `state`, and from `read_headlines`
    those of `loss, accuracy, test_loss, test, seconds` that any run has.
    """
    table = _identity([outcome.settings for outcome in outcomes])
    table["state"] = [outcome.state for outcome in outcomes]
    for name in ("loss", "accuracy", "test_loss", "test", "seconds"):
        table[name] = [heads.get(outcome.settings, {}).get(name) for outcome in outcomes]
    return table.dropna(axis="columns", how="all")


def plan_table(grid, states, estimates=None):
    """What there is to do, as a `pandas.DataFrame`: `state` and the estimate of every run.

    Args:
        grid: List of `bnkit.Settings`.
        states: `Settings` -> what is found on disk.
        estimates: `Settings` -> `timing.Estimate` of what is left, or None, for the runs that are
            to be made. Without it there are no columns for it.
    """
    table = _identity(grid)
    table["state"] = [states[settings] for settings in grid]
    if estimates is not None:
        rows = [_shown(estimates[settings]) if settings in estimates else {} for settings in grid]
        names = ["estimate", "parameters", "GFLOP/step", "GFLOP/capture", "GB", "probes"]
        for name in names:
            table[name] = [row.get(name, "-") for row in rows]
    return table


def totals(estimates, jobs):
    """The memory of runs that are made at a time, and the share of the probes, in words."""
    seconds = sum(estimate.seconds for estimate in estimates)
    peaks = [estimate.peak_bytes for estimate in estimates]
    if not seconds or None in peaks:
        return ""
    probes = sum(estimate.probes * estimate.seconds for estimate in estimates) / seconds
    together = sum(sorted(peaks)[-jobs:]) / 1e9
    return f", {100 * probes:.0f} % of it for the probes; {together:.1f} GB of memory at a time"


def text(table):
    """A table as text, for the terminal."""
    return table.to_string(index=False, na_rep="-", float_format="{:.4g}".format)


def _identity(grid):
    """The columns that tell the runs apart."""
    table = pd.DataFrame([dataclasses.asdict(settings) for settings in grid])
    names = [name for name in AXES if name not in _ALWAYS and table[name].nunique() > 1]
    return table[[*names, *_ALWAYS]].copy()


def _shown(estimate):
    """Column -> text."""
    if estimate is None:
        return {"estimate": "cannot run"}
    peak = estimate.peak_bytes
    return {
        "estimate": waiting.duration(estimate.seconds),
        "parameters": f"{estimate.parameters:,}",
        "GFLOP/step": _giga(estimate.step_flop, ".3g"),
        "GFLOP/capture": _giga(estimate.capture_flop, ".3g"),
        "GB": "-" if peak is None else _giga(peak, ".2f"),
        "probes": f"{100 * estimate.probes:.0f} %",
    }


def _giga(number, form):
    return "-" if math.isnan(number) else f"{number / 1e9:{form}}"
