"""What stands in a terminal about a study: a row for every run."""

import dataclasses
import datetime

import pandas

from bnkit.report.page.headlines import headlines
from bnkit.report.runs import read_runs
from bnkit.study.grids import AXES
from bnkit.study.launch import ENDED

# What the tables are about even where it is the same for all runs.
_ALWAYS = ("norm", "lr", "seed")


def read_headlines(outcomes, study_dir):
    """`Settings` -> headline of the report, with the `seconds` of the run over all calls it took.

    A run that failed before it had anything to record has none.
    """
    heads = {}
    for settings in (outcome.settings for outcome in outcomes):
        directory = study_dir / settings.run_id
        if (directory / "settings.json").exists():
            (run,) = read_runs(directory)
            (head,) = headlines([run])
            heads[settings] = head | {"seconds": run.status.get("seconds", {}).get("total")}
    return heads


def outcome_table(outcomes, heads):
    """How every run came out, as a `pandas.DataFrame`.

    Columns: `norm, lr, seed` and what else differs, `state`, and of the `read_headlines` the
    numbers `loss, accuracy, test_loss, test, seconds`, but none that no run has.
    """
    table = _identity([outcome.settings for outcome in outcomes])
    table["state"] = [outcome.state for outcome in outcomes]
    for name in ("loss", "accuracy", "test_loss", "test", "seconds"):
        table[name] = [heads.get(outcome.settings, {}).get(name) for outcome in outcomes]
    return table.dropna(axis="columns", how="all")


def plan_table(grid, states, estimates):
    """What is to be done, as a `pandas.DataFrame`: the `state` of every run, and its `estimate`."""
    table = _identity(grid)
    table["state"] = [states[settings] for settings in grid]
    table["estimate"] = [
        "-" if states[settings] in ENDED else _shown(estimates[settings]) for settings in grid
    ]
    return table


def duration(seconds):
    """Seconds in the form 1:02:03."""
    return str(datetime.timedelta(seconds=round(seconds)))


def text(table):
    """A table as text, for the terminal."""
    return table.to_string(index=False, na_rep="-", float_format="{:.4g}".format)


def _identity(grid):
    """The columns that tell the runs apart."""
    table = pandas.DataFrame([dataclasses.asdict(settings) for settings in grid])
    names = [name for name in AXES if name not in _ALWAYS and table[name].nunique() > 1]
    return table[[*names, *_ALWAYS]].copy()


def _shown(estimate):
    return "cannot run" if estimate is None else duration(estimate)
