"""Which runs are compared: by condition, normalisation and seed."""

import collections
import math

import pandas as pd

from bnkit.report.statistics import arms


class NotComparable(Exception):
    """A seed whose runs give no number to compare; the message says why, and names no seed.

    Attributes:
        brief: The same in a few words, for a cell of a table.
        norm: The normalisation that `brief` is said of ("did not train"); None where it is a
            sentence of its own.
    """

    def __init__(self, message, brief=None, norm=None):
        super().__init__(message)
        self.brief = brief or message
        self.norm = norm


def conditions(traces, over_lr):
    """The runs as `{condition: {norm: {seed: trace}}}`.

    A condition is as in the figures (`arms.with_condition`): everything that was set except
    normalisation and seed. It names model, data and learning rate, and what else differs between
    the runs with that model and data.

    Args:
        traces: One `claims.traces.Trace` per run.
        over_lr: Whether a condition holds for all learning rates; each seed then has a list of
            traces.
    """
    tasks = collections.defaultdict(list)
    for trace in traces:
        settings = trace.run.settings
        tasks[f"{settings.get('model')}, {settings.get('dataset')}"].append(trace)
    found = {}
    for task, members in tasks.items():
        for trace, label in zip(members, _labels(members, over_lr), strict=True):
            seeds = found.setdefault(f"{task}, {label}", {}).setdefault(trace.norm, {})
            if over_lr:
                seeds.setdefault(trace.seed, []).append(trace)
            else:
                seeds[trace.seed] = trace
    return found


def compare(measure, norms, members):
    """One number per seed that all of the normalisations have.

    Args:
        measure: Takes the traces of one seed, in the order of `norms`, and returns a number or
            raises `NotComparable`.
        norms: The normalisations to compare; all of them in `members`.
        members: The runs of one condition, as from `conditions`.

    Returns:
        The numbers, all finite; notes on the seeds: which gave none and why, and what is worth
        knowing about the others; and a `NotComparable` for each seed with all runs that gave none.
    """
    over = [members[norm] for norm in norms]
    values, lost, notes = [], [], collections.defaultdict(list)
    for seed in sorted(set.union(*map(set, over)), key=_order):
        without = [norm for norm, seeds in zip(norms, over, strict=True) if seed not in seeds]
        if without:
            notes[f"there is no run of norm={' and norm='.join(map(str, without))}"].append(seed)
            continue
        traces = [seeds[seed] for seeds in over]
        try:
            value = measure(*traces)
            if not math.isfinite(value):
                raise NotComparable("the number is not finite")
        except NotComparable as error:
            lost.append(error)
            notes[str(error)].append(seed)
            continue
        values.append(value)
        for note in _lengths(traces):
            notes[note].append(seed)
    return values, [f"{_named(seeds)}: {why}" for why, seeds in notes.items()], lost


def _labels(traces, over_lr):
    settings = [_settings(trace.run) for trace in traces]
    if not arms.repeated_in_studies(pd.DataFrame(settings).assign(step=0)):
        settings = [{**one, "study": None} for one in settings]
    if over_lr:
        settings = _with_all_lrs(settings)
    table = pd.DataFrame(settings).assign(run="", status="", step=0)
    return arms.with_condition(table)["condition"]


def _settings(run):
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in run.settings.items()
    }
    return {"study": run.study, "norm": None, "lr": None, "seed": None, **given}


def _with_all_lrs(settings):
    """The same settings; `lr` is a tuple where the condition has several learning rates."""
    ignored = {"norm", "lr", "seed"}
    keys = [
        frozenset((name, repr(value)) for name, value in one.items() if name not in ignored)
        for one in settings
    ]
    lrs = collections.defaultdict(set)
    for key, one in zip(keys, settings, strict=True):
        lrs[key].add(one["lr"])
    return [
        {**one, "lr": tuple(sorted(lrs[key], key=_order))} if len(lrs[key]) > 1 else one
        for key, one in zip(keys, settings, strict=True)
    ]


def _order(value):
    """Sorting key: numbers first, then everything else by its text."""
    return (0, value, "") if isinstance(value, (int, float)) else (1, 0, str(value))


def _named(seeds):
    return f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}"


def _lengths(traces):
    """Notes on how long the runs are; lists of runs get none."""
    if isinstance(traces[0], list):
        return
    for trace in traces:
        if trace.diverged:
            yield f"norm={trace.norm} diverged"
    if len({trace.last_step for trace in traces if not trace.diverged}) > 1:
        yield "the arms end at different steps, and what they have in common is compared"
