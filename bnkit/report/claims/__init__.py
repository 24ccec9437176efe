"""Verdicts on the study's claims, from what is on disk alone."""

from bnkit.report.claims.catalogue import QUESTIONS
from bnkit.report.claims.claim import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Claim, in_words
from bnkit.report.claims.evaluation import evaluate
from bnkit.report.claims.judge import LEAST_SEEDS

__all__ = [
    "CONTRADICTED",
    "INCONCLUSIVE",
    "LEAST_SEEDS",
    "QUESTIONS",
    "SUPPORTED",
    "Claim",
    "evaluate",
    "in_words",
]
