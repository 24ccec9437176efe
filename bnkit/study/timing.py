"""How long the runs of a grid will take, from a few measured steps of each kind of run."""

import dataclasses
import heapq
import logging
import math
import pathlib
import tempfile

from bnkit import families
from bnkit.store import read_description, read_status
from bnkit.study import cost
from bnkit.study.launch import run

_log = logging.getLogger(__name__)

# Parts of a run's seconds that grow with its steps, and parts that are spent once or drown in noise
# in a short run. All others are probes.
_BY_STEP = ("train", "records")
_ONCE = ("data", "compile", "checkpoint", "other", "total")
# Measurements in the longer of the two short runs.
_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one kind of run takes: seconds, arithmetic and memory.

    Attributes:
        start: A run of one step, with all that happens once: the process, tracing, the first
            measurement, two evaluations.
        step: Each further step.
        probes: Each further time that the probes measure.
        evaluation: Each further evaluation.
        parameters: Of the network.
        forward_flop: Floating-point operations of one sample's way through the network; NaN where
            that is not known.
        peak_bytes: The most memory that a short run had; None where the system does not say.
    """

    start: float
    step: float
    probes: float
    evaluation: float
    parameters: int
    forward_flop: float
    peak_bytes: int

    def estimate(self, settings, made=0):
        """The `Estimate` of a run of these settings after it `made` some of its steps."""
        measuring = self.probes * _further(settings, "probe_every", made)
        seconds = (
            self.start
            + self.step * (settings.steps - made - 1)
            + measuring
            + self.evaluation * _further(settings, "eval_every", made)
        )
        step = cost.step_flop(settings, self.forward_flop)
        capture = cost.capture_flop(settings, self.forward_flop)
        # The first measurement is counted with all else that happens once.
        probes = (measuring + self.probes) / seconds if settings.probes else 0.0
        return Estimate(seconds, self.parameters, step, capture, self.peak_bytes, probes)


def _further(settings, name, made):
    """How often something is due after the first time, in the steps that are left."""
    every = getattr(settings, name)
    due = math.ceil(settings.steps / every) - math.ceil(made / every)
    return max(due - 1, 0)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What is left of a run will take.

    Attributes:
        seconds: Of this machine.
        parameters: Of the network.
        step_flop: Floating-point operations of a training step.
        capture_flop: Those of all probes measuring once.
        peak_bytes: Memory, as measured in a short run.
        probes: Share of the probes in the seconds, 0 to 1.
    """

    seconds: float
    parameters: int
    step_flop: float
    capture_flop: float
    peak_bytes: int
    probes: float


def estimate(states, study_dir, *, jobs=1, data_dir=None, input="auto", progress=True):
    """Estimates how long the rest of each run takes, by making two short runs of each kind.

    These are made as `study.run` makes them, at most `jobs` at a time, in a temporary directory.

    Args:
        states: `bnkit.Settings` -> `study.state`, "to do" or "resume".
        study_dir: Directory of the study; only read.
        jobs, data_dir, input, progress: As for `study.run`.

    Returns:
        `Settings` -> `Estimate`, or None for a run whose short runs failed; the log says why.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
    """
    short = {settings: _short_runs(settings) for settings in states}
    pairs = list(dict.fromkeys(short.values()))
    if pairs:
        _log.info("timing %d short runs, at a learning rate that changes nothing", 2 * len(pairs))
    with tempfile.TemporaryDirectory(prefix="bnkit-") as directory:
        outcomes = run(
            [settings for pair in pairs for settings in pair],
            pathlib.Path(directory, "estimate"),
            jobs=jobs,
            data_dir=data_dir,
            input=input,
            progress=progress,
        )
        measured = {}
        for pair, one, more in zip(pairs, outcomes[::2], outcomes[1::2], strict=True):
            measured[pair] = _cost(one, more, pathlib.Path(directory, "estimate"))
    estimates = {}
    for settings, pair in short.items():
        made = 0
        if states[settings] == "resume":
            made = read_status(pathlib.Path(study_dir) / settings.run_id)["steps"]
        found = measured[pair]
        estimates[settings] = found and found.estimate(settings, made)
    return estimates


def in_all(seconds, jobs):
    """Seconds until the last run ends, if the next one starts as soon as a place is free.

    >>> in_all([3, 1, 1, 1], jobs=2)
    3
    """
    places = [0] * jobs
    for duration in seconds:
        heapq.heapreplace(places, places[0] + duration)
    return max(places)


def _short_runs(settings):
    """Settings of a run of one step and of a run of a few rounds, with the costs of these."""
    steps = families.get(settings.model).timing_steps
    # The learning rate costs nothing; a tiny one cannot diverge.
    one = dataclasses.replace(
        settings, lr=1e-9, seed=0, steps=1, probe_every=steps, eval_every=steps
    )
    return one, dataclasses.replace(one, steps=_ROUNDS * steps)


def _cost(one, more, directory):
    """The `Cost` that follows from two short runs; None if one failed."""
    for outcome in (one, more):
        if outcome.state in ("interrupted", "to do"):
            raise KeyboardInterrupt
        if outcome.state != "done":
            return None
    first, last = (read_status(directory / outcome.settings.run_id) for outcome in (one, more))
    described = read_description(directory / more.settings.run_id)
    first, later = first["seconds"], last["seconds"]
    grown = {
        part: max(seconds - first.get(part, 0), 0)
        for part, seconds in later.items()
        if part not in _ONCE
    }
    evaluation = grown.pop("evaluate")
    flop = described["forward_flop"]
    step = sum(grown.pop(part, 0) for part in _BY_STEP)
    return Cost(
        start=one.seconds,
        step=step / (more.settings.steps - 1),
        probes=sum(grown.values()) / (_ROUNDS - 1),
        evaluation=evaluation / (_ROUNDS - 1),
        parameters=described["parameters"],
        forward_flop=math.nan if flop is None else flop,
        peak_bytes=last.get("peak_bytes"),
    )
