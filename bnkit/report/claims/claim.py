"""What came out for a claim."""

import dataclasses
import math

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"


@dataclasses.dataclass(frozen=True)
class Claim:
    """What came out for one claim under one condition.

    Attributes:
        id: Short name, such as "loss-range".
        claim: The claim in one sentence.
        source: Where it is made, in the study or elsewhere.
        arms: The normalisations compared; empty if no condition has those that are needed.
        condition: Model, data, learning rate, and whatever else differs between the runs.
        formula: The number that each seed gives, in words.
        unit: Of the effect: "accuracy", "ln ratio", "log2 ratio", "share", "relative difference".
        effect: Mean over the seeds (for theorem-4.1 the largest); None without any.
        interval: 95 % bootstrap interval of the effect, `(low, high)`; None if there is none.
        seeds: Number of seeds that all arms have and that can be compared.
        verdict: "supported", "contradicted" or "inconclusive".
        reason: Why, and what else there is to know.
        brief: Why, in a few words, for a cell of a table.
        of_study: Whether it is one of the study's own claims.
        question: Id of the general question that it answers; None for theorem-4.1.
        arm: The normalisation that it is about; None if there is no condition with the arms.
        baseline: The one that it is held against; None also for theorem-4.1.
        p: p-value of the paired t-test against the limit; None without an interval, and where all
            seeds give the same number.
        p_holm: The same after Holm's adjustment for all the p-values of a report.
        seeds_needed: Of an inconclusive claim with an interval: how many seeds would decide it, up
            to 100, were mean and spread to stay; None if there is no such number.
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
    brief: str
    of_study: bool = True
    question: str | None = None
    arm: str | None = None
    baseline: str | None = None
    p: float | None = None
    p_holm: float | None = None
    seeds_needed: int | None = None

    def to_dict(self):
        """Plain values for JSON; numbers that are not finite as "nan", "inf" and "-inf"."""
        return {
            **vars(self),
            "arms": list(self.arms),
            "effect": _plain(self.effect),
            "interval": self.interval and [_plain(end) for end in self.interval],
        }


def in_words(effect, interval, digits=3):
    """An effect and, unless it is None, its interval: "0.5 [0.4, 0.6]"."""
    if interval is None:
        return f"{effect:.{digits}g}"
    low, high = interval
    return f"{effect:.{digits}g} [{low:.{digits}g}, {high:.{digits}g}]"


def _plain(number):
    return number if number is None or math.isfinite(number) else str(float(number))
