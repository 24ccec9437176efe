"""What each measure computes, in words: the formula that stands beside a verdict.

Every function but `terms` is named after its measure (`claims.measures`), and takes the `Terms` of
the task and the normalisations in the measure's order.
"""

import dataclasses

from bnkit.report.claims import limits
from bnkit.report.claims.measures.ics import MATCHED_WITHIN
from bnkit.report.statistics import training


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a formula calls things that depend on the task.

    Attributes:
        performance: What training raises, as `Trace.performance` has it.
        unit: Of a difference in performance.
        margin: How much worse "about as well" may be.
        early: The steps that are the start of training.
    """

    performance: str
    unit: str
    margin: str
    early: str


CLASSIFICATION = Terms(
    performance="training accuracy",
    unit="accuracy",
    margin=f"{limits.ACCURACY_MARGIN:g}",
    early=f"first {training.EARLY} steps",
)
REGRESSION = Terms(
    performance="-ln(training loss)",
    unit="ln ratio",
    margin="ln 2",
    early=f"first {training.EARLY_REGRESSION:.0%} of the steps",
)


def terms(is_regression):
    """The `Terms` of a regression, or of a classification."""
    return REGRESSION if is_regression else CLASSIFICATION


def training_gain(terms, one, other):
    return (
        f"mean over the common steps of ({terms.performance} of {one} - that of {other}); "
        "a run that diverged counts as untrained from there on"
    )


def largest_lr(terms, one, other):
    return (
        f"log2(largest learning rate at which {one} trains / that at which {other} trains), of "
        "those measured for both; an arm that trains at none counts with the smallest"
    )


def final_difference(terms, one, other):
    return (
        f"mean {terms.performance} over the last tenth of the common steps (a run that diverged "
        f"counts as untrained from there on): {one} - {other}; supported above -{terms.margin}, "
        "contradicted below"
    )


def progress_lost(terms, one, other):
    return (
        f"1 - progress of {one} / progress of {other}; progress: what the {terms.performance} of "
        "the last tenth of the steps gained on a network that has learned nothing; supported above "
        f"{limits.STOPPED:g}, contradicted below {limits.NOT_STOPPED:g}"
    )


def mean_change(terms, one, other):
    return _change("mean", one, other)


def variance_change(terms, one, other):
    return _change("variance", one, other)


def _change(moment, one, other):
    return (
        f"median over the captures of ln(change with {one} / change with {other}); change: median "
        f"over layers and units of |change of the {moment} of the non-linearity's inputs since the "
        "capture before|, as in Fig 8; a ratio counts as a million at most"
    )


def matched_ics(terms, one, other):
    return (
        f"mean over the captures of {one} of ln(relative shift of {one} / relative shift of "
        f"{other} at its capture with the nearest training loss (running mean), where within a "
        f"factor of {MATCHED_WITHIN:g}); relative shift: median over the layers but the first of "
        "||G - G'|| / ||G||; a ratio counts as a million at most; supported above -ln 1.25, "
        "contradicted below, where the cosine of G and G' agrees within "
        f"{limits.COSINE_MARGIN:g}"
    )


def loss_range(terms, one, other):
    return (
        f"median over the captures after the {terms.early} of ln(range of {one} / range of "
        f"{other}); range: largest minus smallest loss along the gradient over the step sizes; "
        "a ratio counts as a million at most, a loss that is not finite is unbounded"
    )


def gradient_change(terms, one, other):
    return (
        f"median over the captures after the {terms.early} of ln(change of {one} / change of "
        f"{other}); change: largest l2 distance from the gradient over the step sizes; "
        "a ratio counts as a million at most, a distance that is NaN is unbounded"
    )


def peak_smoothness(terms, one, other):
    return (
        f"ln(peak of {one} / peak of {other}); peak: largest effective beta over the captures "
        f"after the {terms.early} (the mean sits at 2/lr for every arm); a ratio counts as a "
        "million at most"
    )


def first_smoothness(terms, one, other):
    return (
        f"ln(effective beta of {one} / effective beta of {other}) at step 0; a ratio counts as a "
        "million at most"
    )


def largest_batch_norm_identity_error(terms, one):
    return (
        "largest relative difference of the two sides over layers, captures and seeds (float32); "
        f"supported below {limits.TOLERANCE:g} at every seed, contradicted where largest and "
        "median are above it at every seed; no interval"
    )
