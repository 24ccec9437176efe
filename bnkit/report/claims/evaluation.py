"""Every question, asked of the runs that are there.

The runs of an arm are paired by seed with those of the arm that it is compared with; each pair
gives one number, and the bootstrap interval over the pairs decides. The study's own questions come
first; then those about any arm against any baseline (`general`).
"""

import collections
import dataclasses
import math

from bnkit.report import naming
from bnkit.report.claims import judge
from bnkit.report.claims.catalogue import LP, QUESTIONS, labels
from bnkit.report.claims.claim import INCONCLUSIVE, Claim, in_words
from bnkit.report.claims.general import GENERAL, roles
from bnkit.report.claims.measures.ratios import LARGEST
from bnkit.report.claims.traces import Trace
from bnkit.report.statistics import multiple, pairing

# The baselines unless others are asked for: those of these that are there.
BASELINES = ("none", "bn")
# A logarithm is read as a factor.
_BASES = {"ln ratio": math.e, "log2 ratio": 2.0}


def evaluate(runs, baselines=None):
    """Every claim's verdict under every condition that has the arms for it.

    Args:
        runs: List of `Run`. Of several with the same settings in a study the last one by name
            counts.
        baselines: The normalisations that every arm is held against, in this order; None for
            `none` and `bn`. Those without a run are passed over.

    Returns:
        A list of `Claim`: the study's in its order, a claim that no condition has the arms for with
        one entry that says what is missing; then the general ones by baseline and arm, without
        those that the study asks itself. Two baselines are compared once.
    """
    traces = [Trace(run) for run in sorted(runs, key=lambda run: (run.study, run.name))]
    conditions = {over_lr: pairing.conditions(traces, over_lr) for over_lr in (False, True)}
    claims = []
    for question in QUESTIONS:
        answers = [
            _answer(question, norms, condition, members, of_study=True)
            for condition, members in conditions[question.over_lr].items()
            for norms in question.arms
            if set(norms) <= set(members)
        ]
        claims += answers or [_unanswered(question, traces)]
    asked = {(claim.question, claim.arm, claim.baseline) for claim in claims}
    for arm, baseline in comparisons({trace.norm for trace in traces}, baselines):
        for general in GENERAL:
            if (general.question.id, arm, baseline) in asked:
                continue
            norms = general.order(arm, baseline)
            answers = [
                _answer(general.question, norms, condition, members, of_study=False)
                for condition, members in conditions[general.question.over_lr].items()
                if set(norms) <= set(members)
            ]
            claims += answers or [_apart(general.question, norms, traces)]
    return _adjusted(claims)


def comparisons(norms, baselines=None):
    """Pairs of an arm and a baseline, by baseline: every arm with every baseline but itself.

    A baseline is an arm, too, and two of them are compared once: the later with the earlier.

    Args:
        norms: The normalisations that there are; runs without one are no arm.
        baselines: As for `evaluate`.
    """
    arms = sorted(filter(None, norms), key=naming.rank)
    chosen = [one for one in dict.fromkeys(baselines or BASELINES) if one in arms]
    return [
        (arm, baseline)
        for number, baseline in enumerate(chosen)
        for arm in arms
        if arm not in chosen[: number + 1]
    ]


def _answer(question, norms, condition, members, of_study):
    is_regression = _is_regression(members[norms[0]])
    limits = question.limits_for(is_regression)
    values, notes, lost = pairing.compare(question.measure, norms, members)
    verdict, why = judge.verdict(values, limits, question)
    effect = judge.effect(values, question)
    about = roles(question, norms)
    words = question.words(norms, is_regression, arm=about["arm"], baseline=about["baseline"])
    reasons, brief, needed = [why], _briefly(values, lost, about) or why, None
    if values:
        compared = _compare_asides(question, norms, members)
        reasons += _as_factor(effect, words["unit"], question)
        reasons += [
            f"{aside.words.format(*labels(norms))}: {_shown(more, question)}"
            for aside, more in compared
        ]
        against = [aside for aside, more in compared if _disagrees(aside, more, verdict, question)]
        if against and verdict != INCONCLUSIVE:
            which = against[0].words.format(*labels(norms))
            reasons.insert(0, f"would be {verdict}, but the {which} does not agree")
            brief = f"would be {verdict}; a second number disagrees"
            verdict = INCONCLUSIVE
        elif verdict == INCONCLUSIVE:
            needed, how_many = judge.more_seeds(values, limits, question)
            if how_many and any(values):
                brief = how_many
                reasons.append(f"with this mean and spread {how_many}")
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
        brief=brief,
        of_study=of_study,
        p=judge.p_value(values, limits, question),
        seeds_needed=needed,
        **about,
        **words,
    )


def _briefly(values, lost, about):
    """Why there are too few numbers, in a few words; None if there are enough."""
    if len(values) >= judge.LEAST_SEEDS:
        return None
    subjects = {about["arm"]: "the arm", about["baseline"]: "the baseline"}
    reasons = collections.Counter(
        error.brief if error.norm is None else f"{subjects[error.norm]} {error.brief}"
        for error in lost
    )
    ((why, times),) = reasons.most_common(1) or [("", 0)]
    if not values:
        return why or "no common seed"
    count = "1 seed" if len(values) == 1 else f"{len(values)} seeds"
    brief = f"{count}; {judge.LEAST_SEEDS} are needed"
    return f"{brief} ({times} more: {why})" if times else brief


def _unanswered(question, traces):
    """The entry of one of the study's questions that no condition has the arms for."""
    needed = " or ".join(" and ".join(f"norm={one}" for one in norms) for norms in question.arms)
    # Of all Lp normalisations at once.
    norms = question.arms[0]
    if len(question.arms) > 1:
        norms = tuple("Lp" if norm in LP else norm for norm in norms)
    if len(norms) > 1:
        needed = f"{needed} with the same settings"
    there = {trace.norm for trace in traces}
    found = sorted(map(str, there), key=naming.rank)
    return Claim(
        id=question.id,
        arms=(),
        reason=f"needs {needed}; found {', '.join(found) or 'no runs'}",
        brief=_without_runs(question.arms, there),
        question=roles(question, question.arms[0])["question"],
        **_nothing(question, norms, traces),
    )


def _without_runs(pairs, there):
    """Which arms of the pairs, each of which lacks some, are missing."""
    if any(set(norms) <= there for norms in pairs):
        return "no runs with the same settings"
    missing = dict.fromkeys(norm for norms in pairs for norm in norms if norm not in there)
    return f"no runs of {', '.join(missing)}"


def _apart(question, norms, traces):
    """The entry of a general question whose arms never have the same settings."""
    about = roles(question, norms)
    names = {"arm": about["arm"], "baseline": about["baseline"]}
    return Claim(
        id=question.id,
        arms=norms,
        reason=f"norm={norms[0]} and norm={norms[1]} have no runs with the same settings",
        brief="no runs with the same settings",
        of_study=False,
        **about,
        **_nothing(question, norms, traces, **names),
    )


def _nothing(question, norms, traces, **names):
    """The fields of an entry without a number."""
    is_regression = bool(traces) and all(trace.is_regression for trace in traces)
    return {
        "source": question.source,
        "condition": "",
        "effect": None,
        "interval": None,
        "seeds": 0,
        "verdict": INCONCLUSIVE,
        **question.words(norms, is_regression, **names),
    }


def _adjusted(claims):
    """The claims with Holm's adjusted p-values, over all that have one."""
    tested = [number for number, claim in enumerate(claims) if claim.p is not None]
    adjusted = multiple.holm([claims[number].p for number in tested])
    for number, p_holm in zip(tested, adjusted, strict=True):
        claims[number] = dataclasses.replace(claims[number], p_holm=p_holm)
    return claims


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
