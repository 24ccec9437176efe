"""What each measure computes, in words: the formula that stands beside a verdict.

`{0}` and `{1}` are the arms in the measure's order; the other names are those of `terms`.
"""

from bnkit.report.claims.limits import ACCURACY_MARGIN
from bnkit.report.statistics.training import EARLY, EARLY_REGRESSION

TRAINING_GAIN = (
    "mean over the common steps of ({performance} of {0} - that of {1}); a run that diverged "
    "counts as untrained from there on"
)
LARGEST_LR = (
    "log2(largest learning rate at which {0} trains / that at which {1} trains), of those measured "
    "for both; an arm that trains at none counts with the smallest"
)
FINAL_DIFFERENCE = (
    "mean {performance} over the last tenth of the common steps (a run that diverged counts as "
    "untrained from there on): {0} - {1}; supported above -{margin}, contradicted below"
)
PROGRESS_LOST = (
    "1 - progress of {0} / progress of {1}; progress: what the {performance} of the last tenth of "
    "the steps gained on a network that has learned nothing; supported above 0.95, contradicted "
    "below 0.5"
)
MEAN_CHANGE = (
    "median over the captures of ln(change with {0} / change with {1}); change: median over layers "
    "and units of |change of the mean of the non-linearity's inputs since the capture before|, as "
    "in Fig 8; a ratio counts as a million at most"
)
VARIANCE_CHANGE = (
    "median over the captures of ln(change with {0} / change with {1}); change: median over layers "
    "and units of |change of the variance of the non-linearity's inputs since the capture before|, "
    "as in Fig 8; a ratio counts as a million at most"
)
MATCHED_ICS = (
    "mean over the captures of {0} of ln(relative shift of {0} / relative shift of {1} at its "
    "capture with the nearest training loss (running mean), where within a factor of 1.25); "
    "relative shift: median over the layers but the first of ||G - G'|| / ||G||; a ratio counts as "
    "a million at most; supported above -ln 1.25, contradicted below, where the cosine of G and G' "
    "agrees within 0.05"
)
LOSS_RANGE = (
    "median over the captures after the {early} of ln(range of {0} / range of {1}); range: largest "
    "minus smallest loss along the gradient over the step sizes; a ratio counts as a million at "
    "most, a loss that is not finite is unbounded"
)
GRADIENT_CHANGE = (
    "median over the captures after the {early} of ln(change of {0} / change of {1}); change: "
    "largest l2 distance from the gradient over the step sizes; a ratio counts as a million at "
    "most, a distance that is NaN is unbounded"
)
PEAK_SMOOTHNESS = (
    "ln(peak of {0} / peak of {1}); peak: largest effective beta over the captures after the "
    "{early} (the mean sits at 2/lr for every arm); a ratio counts as a million at most"
)
FIRST_SMOOTHNESS = (
    "ln(effective beta of {0} / effective beta of {1}) at step 0; a ratio counts as a million at "
    "most"
)
LARGEST_BATCH_NORM_IDENTITY_ERROR = (
    "largest relative difference of the two sides over layers, captures and seeds (float32); "
    "supported below 0.01 at every seed, contradicted where largest and median are above it at "
    "every seed; no interval"
)


def terms(is_regression):
    """What formulas name by the task.

    Returns:
        A dict: what training raises (`performance`), the `unit` of differences in it, the `margin`
        of "about as well", and the steps that are the start of training (`early`).
    """
    if is_regression:
        return {
            "performance": "-ln(training loss)",
            "unit": "ln ratio",
            "margin": "ln 2",
            "early": f"first {EARLY_REGRESSION:.0%} of the steps",
        }
    return {
        "performance": "training accuracy",
        "unit": "accuracy",
        "margin": f"{ACCURACY_MARGIN:g}",
        "early": f"first {EARLY} steps, or the first half of a run of fewer than {2 * EARLY},",
    }
