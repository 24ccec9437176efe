"""Every question of the catalogue, asked of the runs that are there.

The runs of an arm are paired by seed with those of the arm that it is compared with; each pair
gives one number, and the bootstrap interval over the pairs decides.
"""

import math

from bnkit.report.claims import judge
from bnkit.report.claims.catalogue import LP, QUESTIONS
from bnkit.report.claims.claim import INCONCLUSIVE, Claim, in_words
from bnkit.report.claims.measures.ratios import LARGEST
from bnkit.report.claims.traces import Trace
from bnkit.report.drawing import style
from bnkit.report.statistics import pairing

# A logarithm is read as a factor.
_BASES = {"ln ratio": math.e, "log2 ratio": 2.0}


def evaluate(runs):
    """Every claim's verdict under every condition that has the arms for it.

    Args:
        runs: List of `Run`. Of several with the same settings in a study the last one by name
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
        claims += answers or [_unanswered(question, traces)]
    return claims


def _answer(question, norms, condition, members):
    is_regression = _is_regression(members[norms[0]])
    values, notes = pairing.compare(question.measure, norms, members)
    verdict, why = judge.verdict(values, question.limits_for(is_regression), question)
    effect = judge.effect(values, question)
    words = question.words(norms, is_regression)
    reasons = [why]
    if values:
        compared = _compare_asides(question, norms, members)
        reasons += _as_factor(effect, words["unit"], question)
        reasons += [f"{aside.words}: {_shown(more, question)}" for aside, more in compared]
        against = [aside for aside, more in compared if _disagrees(aside, more, verdict, question)]
        if against and verdict != INCONCLUSIVE:
            reasons.insert(0, f"would be {verdict}, but the {against[0].words} does not agree")
            verdict = INCONCLUSIVE
    return Claim(
        id=question.id,
        source=question.source,
        arms=norms,
        condition=condition,
        effect=effect,
        interval=judge.interval(values, question),
        seeds=len(values),
        verdict=verdict,
        reason="; ".join(reasons + notes),
        **words,
    )


def _unanswered(question, traces):
    """The entry of a question that no condition has the arms for."""
    needed = " or ".join(" and ".join(f"norm={one}" for one in norms) for norms in question.arms)
    # Of all Lp normalisations at once.
    norms = question.arms[0]
    if len(question.arms) > 1:
        norms = tuple("Lp" if norm in LP else norm for norm in norms)
    if len(norms) > 1:
        needed = f"{needed} with the same settings"
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
        reason=f"needs {needed}; found {', '.join(found) or 'no runs'}",
        **question.words(norms, is_regression),
    )


def _is_regression(seeds):
    """Whether the runs of an arm are regressions; all runs of a condition have the same task."""
    trace = next(iter(seeds.values()))
    return (trace[0] if isinstance(trace, list) else trace).is_regression


def _as_factor(effect, unit, question):
    """A logarithm as the factor that it stands for: a list of one clause, or of none."""
    if unit not in _BASES:
        return []
    factor = f"a factor of {_BASES[unit] ** effect:.3g}"
    # Of all logarithms only those of `ratios.log_ratio` are cut off.
    if question.unit == "ln ratio" and abs(effect) >= LARGEST:
        factor = f"{factor} (no ratio counts for more)"
    return [factor]


def _compare_asides(question, norms, members):
    """`(aside, its numbers)` of those whose arms are there."""
    compared = []
    for aside in question.asides:
        arms = aside.arms or norms
        if set(arms) <= set(members):
            compared.append((aside, pairing.compare(aside.measure, arms, members)[0]))
    return compared


def _disagrees(aside, values, verdict, question):
    if aside.limits is None:
        return False
    return judge.verdict(values, aside.limits, question)[0] != verdict


def _shown(values, question):
    """Effect and interval in words."""
    if not values:
        return "cannot be compared"
    return in_words(judge.effect(values, question), judge.interval(values, question))
