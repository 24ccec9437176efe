"""One learning rate at which every arm of a study trains, found by measurement (`--lr=auto`).

First a range test of every arm (Smith 2017, arXiv 1506.01186, section 3.3): a short run whose rate
rises from tiny to far too large. Where its loss was lowest, training went from better to worse.
What all arms can take is then tried at a constant rate, since a network that hardly moves while the
rate rises, as one without normalisation, says little. All of these are runs of a study of their
own: the same call finds them again, and they can be reported on.
"""

import dataclasses
import math

import numpy as np
import pandas as pd

from bnkit import families
from bnkit.report.frames import frame
from bnkit.report.runs import read_runs
from bnkit.report.statistics.range_test import with_rates
from bnkit.report.statistics.training import EARLY, never_trained
from bnkit.rules import AUTO
from bnkit.schedules import RANGE
from bnkit.settings import SettingsError
from bnkit.store import RunFailed
from bnkit.study.launch import run

# A range test goes as far above a usual rate as it starts below it.
_ABOVE = RANGE**-0.5
# Keras's default of every optimizer but SGD, whose usual rate is that of the model.
_ADAPTIVE = 1e-3
# Length of a range test, and of a trial at most, in a model's `timing_steps`: 200 and 500 steps on
# images. Without normalisation a VGG may stay at chance for the first 200.
_RANGE, _TRIAL = 40, 100
# Rates that are tried, downwards, for an arm that does not train.
_TRIALS = 4
_DIGITS = (1, 2, 5)


def find(grid, study_dir, *, show=lambda text: None, **options):
    """Finds the learning rate of every run of a grid: the same for all arms of a comparison.

    It is the largest of 1, 2 and 5 times a power of ten that is not above the rate at which any arm
    was best in its range test, and at which every arm trains (not `never_trained`) with the first
    seed, in as many steps as the study has, or 500 on images. Where an arm does not, smaller ones
    are tried, and below the first that does the next one, if it trains there, too: at the edge
    another seed may not train. An arm that trains at none of them has no say.

    Args:
        grid: List of `bnkit.Settings`, whose `lr` says nothing.
        study_dir: `pathlib.Path` of the directory of the short runs.
        show: Called with what is being done, a line of text.
        **options: As for `study.run`.

    Returns:
        `(grid, table)`: the settings with their rates, and a `pandas.DataFrame` with a row for each
        arm: `best`, the rate of its range test at which its loss was lowest; `trains`, the largest
        rate that was tried at which it trains, or NaN; `lr`, which is taken.

    Raises:
        SettingsError: If no arm of a comparison trains at any rate that was tried.
        RunFailed: If a short run fails.
        KeyboardInterrupt: After Ctrl-C.
    """
    comparisons = {}
    for settings in grid:
        arms = comparisons.setdefault(_without_arm(settings), {})
        arms.setdefault(settings.norm, settings)

    def make(runs):
        return _made(runs, study_dir, options)

    ranges = {arm: _range_test(arm) for arms in comparisons.values() for arm in arms.values()}
    norms = dict.fromkeys(arm.norm for arm in ranges)
    show(f"range tests of {', '.join(norms)}, into {study_dir}")
    tested = make(list(ranges.values()))
    best = {arm: _best(tested[test], test) for arm, test in ranges.items()}
    rates, rows = {}, []
    for comparison, arms in comparisons.items():
        trained, rate = _try(list(arms.values()), min(map(best.get, arms.values())), make, show)
        rates[comparison] = rate
        rows += [
            {"norm": norm, "best": best[arm], "trains": trained.get(arm, np.nan), "lr": rate}
            for norm, arm in arms.items()
        ]
    found = [dataclasses.replace(one, lr=rates[_without_arm(one)]) for one in grid]
    return found, pd.DataFrame(rows)


def _without_arm(settings):
    """What the runs of a comparison have in common."""
    return dataclasses.replace(settings, norm="none", seed=0, lr=1.0)


def _short(settings, steps, **changes):
    unmeasured = {"eval_every": steps, "probes": (), "probe_steps": ()}
    return dataclasses.replace(settings, steps=steps, **unmeasured, **changes)


def _range_test(settings):
    entry = families.get(settings.model)
    usual = entry.defaults["lr"] if settings.optimizer == "sgd" else _ADAPTIVE
    steps = _RANGE * entry.timing_steps
    return _short(settings, steps, lr=_rounded(usual * _ABOVE), schedule="range", warmup=0)


def _trial(settings, rate):
    """As the run itself, but not longer than needed, nor too short to be judged."""
    most = _TRIAL * families.get(settings.model).timing_steps
    steps = max(min(settings.steps, most), EARLY)
    return _short(settings, steps, lr=rate, warmup=min(settings.warmup, steps // 2))


def _made(runs, study_dir, options):
    """Makes the runs; returns `Settings` -> records of training, as from `load_runs`."""
    for outcome in run(runs, study_dir, **options):
        if outcome.state in ("interrupted", "to do"):
            raise KeyboardInterrupt
        if outcome.state == "failed":
            raise RunFailed(f"{outcome.settings.run_id} failed: {outcome.reason}")
    return {one: frame(read_runs(study_dir / one.run_id), "train") for one in runs}


def _best(train, test):
    """The rate at which the smoothed loss of a range test was lowest."""
    found = with_rates(train)
    if found["loss"].isna().all():
        raise RunFailed(f"{test.run_id} failed: no loss was finite")
    return float(found.loc[found["loss"].idxmin(), "rate"])


def _try(arms, limit, make, show):
    """Tries a rate with all arms, then smaller ones with those that do not train.

    Returns:
        `(trained, rate)`: arm -> largest rate at which it trains, and the rate for all of them.
    """

    def training(arms, rate):
        show(f"trying lr {rate:g} with {', '.join(arm.norm for arm in arms)}")
        trials = {arm: _trial(arm, rate) for arm in arms}
        made = make(list(trials.values()))
        return [arm for arm in arms if _trains(made[trials[arm]])]

    rates = [_next_below(limit * 1.000001)]
    while len(rates) < _TRIALS:
        rates.append(_next_below(rates[-1]))
    trained, waiting = {}, arms
    for rate in rates:
        trained |= dict.fromkeys(training(waiting, rate), rate)
        waiting = [arm for arm in waiting if arm not in trained]
        if not waiting:
            break
    if not trained:
        tried = ", ".join(f"{rate:g}" for rate in rates)
        valid = f"a number: no arm trains at any of {tried} in a short run"
        raise SettingsError("lr", AUTO, valid)
    largest = min(trained.values())
    if largest < rates[0]:
        at_the_edge = [arm for arm, rate in trained.items() if rate == largest]
        below = _next_below(largest)
        if training(at_the_edge, below) == at_the_edge:
            return trained, below
    return trained, largest


def _trains(train):
    return not (train["status"] == "diverged").any() and not never_trained(train)


def _next_below(rate):
    """The largest number below `rate` that is 1, 2 or 5 times a power of ten."""
    exponent = math.floor(math.log10(rate))
    candidates = [
        float(f"{digit}e{power}") for power in (exponent - 1, exponent) for digit in _DIGITS
    ]
    return max(one for one in candidates if one < rate)


def _rounded(number):
    """Without what multiplying in binary adds: 1e-6 times 100 is 1e-4."""
    return float(f"{number:.6g}")
