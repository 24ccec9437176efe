"""Verdicts on the study's claims, from what is on disk alone."""

from bnkit.report.claims.catalogue import QUESTIONS
from bnkit.report.claims.claim import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Claim, in_words
from bnkit.report.claims.evaluation import BASELINES, comparisons, evaluate
from bnkit.report.claims.general import GENERAL
from bnkit.report.claims.judge import LEAST_SEEDS

__all__ = [
    "BASELINES",
    "CONTRADICTED",
    "GENERAL",
    "INCONCLUSIVE",
    "LEAST_SEEDS",
    "QUESTIONS",
    "SUPPORTED",
    "Claim",
    "comparisons",
    "evaluate",
    "in_words",
]
