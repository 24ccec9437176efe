"""Verdicts on the study's claims, from what is on disk alone.

`evaluate(runs)` asks every question of `catalogue.QUESTIONS` under every condition that has the
arms for it. The runs of an arm are paired by seed with those of the arm that it is compared with;
each pair gives one number, and the bootstrap interval over the pairs decides.
"""

import dataclasses
import math

import numpy
import pandas

from bnkit.report.claims import pairing
from bnkit.report.claims.catalogue import QUESTIONS
from bnkit.report.claims.measures import LARGEST
from bnkit.report.claims.traces import Trace
from bnkit.report.drawing import style
from bnkit.report.statistics import bootstrap

LEAST_SEEDS = 3
SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
# A logarithm is read as a factor.
_BASES = {"ln ratio": math.e, "log2 ratio": 2.0}


@dataclasses.dataclass(frozen=True)
class Claim:
    """What came out for one claim under one condition.

    Attributes:
      id: short name, such as "loss-range".
      claim: the claim in one sentence.
      source: where it is made, in the study or elsewhere.
      arms: the normalisations compared; empty where no condition has those that are needed.
      condition: model, data, learning rate, and whatever else differs between the runs.
      formula: the number that each seed gives, in words.
      unit: of the effect: "accuracy", "ln ratio", "log2 ratio", "share", "relative difference".
      effect: mean over the seeds (for theorem-4.1 the largest); None without any.
      interval: 95 % bootstrap interval of it, `(low, high)`; None where there is none.
      seeds: number of seeds that all arms have and that can be compared.
      verdict: "supported", "contradicted" or "inconclusive".
      reason: why, and what else there is to know.
    """

    id: str
    claim: str
    source: str
    arms: tuple
    condition: str
    formula: str
    unit: str
    effect: float | None
    interval: tuple | None
    seeds: int
    verdict: str
    reason: str

    def to_dict(self):
        """Plain values for JSON; numbers that are not finite as "nan", "inf" and "-inf"."""
        return {
            **vars(self),
            "arms": list(self.arms),
            "effect": _plain(self.effect),
            "interval": self.interval and [_plain(end) for end in self.interval],
        }


def evaluate(runs):
    """Every claim's verdict under every condition that has the arms for it.

    Args:
      runs: list of `Run`. Of several with the same settings in a study the last one by name
        counts.

    Returns:
      A list of `Claim` in the order of the study; a claim that no condition has the arms for has
      one entry that says what is missing.
    """
    traces = [Trace(run) for run in sorted(runs, key=lambda run: (run.study, run.name))]
    conditions = {over_lr: pairing.conditions(traces, over_lr) for over_lr in (False, True)}
    claims = []
    for question in QUESTIONS:
        answers = [
            _answer(question, norms, condition, members)
            for condition, members in conditions[question.over_lr].items()
            for norms in question.arms
            if set(norms) <= set(members)
        ]
        claims += answers or [_missing(question, traces)]
    return claims


def to_frame(claims):
    """One row per claim: the attributes of `Claim`, with `low` and `high` for the interval."""
    rows = []
    for claim in claims:
        fields = {**vars(claim), "arms": ", ".join(claim.arms)}
        low, high = fields.pop("interval") or (numpy.nan, numpy.nan)
        rows.append({**fields, "low": low, "high": high})
    names = [field.name for field in dataclasses.fields(Claim)]
    place = names.index("interval")
    names[place : place + 1] = ["low", "high"]
    numbers = {"effect": float, "low": float, "high": float, "seeds": int}
    return pandas.DataFrame(rows, columns=names).astype(numbers)


def _answer(question, norms, condition, members):
    one = next(iter(members[norms[0]].values()))
    is_regression = (one[0] if question.over_lr else one).is_regression
    values, notes = pairing.compare(question.measure, norms, members)
    verdict, why = _judge(values, question.limits_for(is_regression), question)
    words = question.words(norms, is_regression)
    effect = _effect(values, question)
    reasons = [why]
    if values and words["unit"] in _BASES:
        most = " (no ratio counts for more)" * (abs(effect) >= LARGEST)
        reasons.append(f"a factor of {_BASES[words['unit']] ** effect:.3g}{most}")
    for aside in question.asides if values else ():
        others = aside.arms or norms
        if not set(others) <= set(members):
            continue
        more, _ = pairing.compare(aside.measure, others, members)
        reasons.append(f"{aside.words}: {_shown(more, question)}")
        agrees = not aside.limits or _judge(more, aside.limits, question)[0] == verdict
        if verdict != INCONCLUSIVE and not agrees:
            reasons.insert(0, f"would be {verdict}, but the {aside.words} does not agree")
            verdict = INCONCLUSIVE
    return Claim(
        id=question.id,
        source=question.source,
        arms=norms,
        condition=condition,
        effect=effect,
        interval=_interval(values, question),
        seeds=len(values),
        verdict=verdict,
        reason="; ".join(reasons + notes),
        **words,
    )


def _missing(question, traces):
    needed = " or ".join(" and ".join(f"norm={one}" for one in norms) for norms in question.arms)
    same = " with the same settings" if len(question.arms[0]) > 1 else ""
    found = sorted({str(trace.norm) for trace in traces}, key=style.rank)
    is_regression = bool(traces) and all(trace.is_regression for trace in traces)
    return Claim(
        id=question.id,
        source=question.source,
        arms=(),
        condition="",
        effect=None,
        interval=None,
        seeds=0,
        verdict=INCONCLUSIVE,
        reason=f"needs {needed}{same}; found {', '.join(found) or 'no runs'}",
        **question.words(question.arms[0] if len(question.arms) == 1 else ("Lp",), is_regression),
    )


def _judge(values, limits, question):
    """The verdict, and why."""
    if len(values) < LEAST_SEEDS:
        count = f"{len(values) or 'no'} seed{'s' * (len(values) != 1)}"
        return INCONCLUSIVE, f"{count} to compare, and a verdict needs {LEAST_SEEDS}"
    if question.largest:
        low, high = min(values), max(values)
        if high < limits.above:
            return SUPPORTED, f"below {limits.above:g} at every seed"
        if low > limits.below:
            return CONTRADICTED, f"above {limits.below:g} at every seed"
        return INCONCLUSIVE, f"below {limits.above:g} at some seeds only"
    low, high = _interval(values, question)
    if low > limits.above:
        return SUPPORTED, f"the interval is above {limits.above:.3g}"
    if high < limits.below:
        return CONTRADICTED, f"the interval is below {limits.below:.3g}"
    if not any(values):
        return INCONCLUSIVE, question.tie
    if limits.above == limits.below:
        return INCONCLUSIVE, f"the interval contains {limits.above:.3g}"
    return INCONCLUSIVE, (
        f"the interval is neither above {limits.above:.3g} nor below {limits.below:.3g}"
    )


def _effect(values, question):
    if not values:
        return None
    return float(max(values) if question.largest else numpy.mean(values))


def _interval(values, question):
    if question.largest or len(values) < LEAST_SEEDS:
        return None
    return bootstrap.interval(values)


def _shown(values, question):
    """Effect and interval in words."""
    if not values:
        return "cannot be compared"
    interval = _interval(values, question)
    ends = f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else ""
    return f"{_effect(values, question):.3g}{ends}"


def _plain(number):
    return number if number is None or math.isfinite(number) else str(float(number))
