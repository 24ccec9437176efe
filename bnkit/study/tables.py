"""What the terminal shows of a study: tables with a row for every run."""

import contextlib
import dataclasses

import pandas as pd

from bnkit import waiting
from bnkit.report.page.headlines import headlines
from bnkit.report.runs import ReportError, read_runs
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
            (head,) = headlines([run])
            heads[settings] = head | {"seconds": run.status.get("seconds", {}).get("total")}
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
    """What there is to do, as a `pandas.DataFrame`: `state` and `estimate` of every run.

    Args:
        grid: List of `bnkit.Settings`.
        states: `Settings` -> what is found on disk.
        estimates: `Settings` -> seconds that are left, or None, for the runs that are to be made.
            Without it there is no column for it.
    """
    table = _identity(grid)
    table["state"] = [states[settings] for settings in grid]
    if estimates is not None:
        table["estimate"] = [
            _shown(estimates[settings]) if settings in estimates else "-" for settings in grid
        ]
    return table


def text(table):
    """A table as text, for the terminal."""
    return table.to_string(index=False, na_rep="-", float_format="{:.4g}".format)


def _identity(grid):
    """The columns that tell the runs apart."""
    table = pd.DataFrame([dataclasses.asdict(settings) for settings in grid])
    names = [name for name in AXES if name not in _ALWAYS and table[name].nunique() > 1]
    return table[[*names, *_ALWAYS]].copy()


def _shown(estimate):
    return "cannot run" if estimate is None else waiting.duration(estimate)
