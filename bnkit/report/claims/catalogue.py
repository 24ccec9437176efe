"""The claims that are examined: what each says, how it is measured, and when it is decided."""

import dataclasses
import math
from collections.abc import Callable

from bnkit.report.claims import measures, traces
from bnkit.report.statistics import training

# "About as well": five points of accuracy are far below what separates an arm that trains from one
# that does not, and above what seeds differ by; deep linear networks that the study calls
# comparable end within a factor of two of BN's loss (its Fig 5b).
ACCURACY_MARGIN = 0.05
LOSS_MARGIN = math.log(2)
# "Similar or larger": covariate shift counts as reduced from a fifth on, or 0.05 in the cosine.
SHIFT_MARGIN = math.log(1.25)
COSINE_MARGIN = 0.05
# "Stops training": hardly any of the progress is left; not stopped: half of it is.
STOPPED, NOT_STOPPED = 0.95, 0.5
# Rounding of float32, summed over a batch: far below 1, and what a missing term would come to.
TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Limits:
    """Supported: the interval is above `above`; contradicted: it is below `below`."""

    above: float = 0.0
    below: float = 0.0


@dataclasses.dataclass(frozen=True)
class Aside:
    """A further comparison that the reason names, in `words` (a clause before the number).

    Attributes:
      arms: like those of a question; None for the question's own.
      limits: where there are any, the verdict needs this comparison to come out alike.
    """

    words: str
    measure: Callable
    arms: tuple | None = None
    limits: Limits | None = None


@dataclasses.dataclass(frozen=True)
class Question:
    """One claim.

    Attributes:
      id, source: as in a `Claim`.
      claim, formula: in words; `{arm}` is the first or only arm, `{performance}` what training
        raises, `{margin}` how far it may stay behind, and `{early}` the end of the start.
      arms: the pairs of normalisations to compare, or single ones; each has its own verdict.
      measure: from a `Trace` per arm to a number (`measures`).
      unit: of the effect: "performance", "ln ratio", "log2 ratio", or another word.
      limits: what decides; None for the margin in performance.
      over_lr: whether all learning rates are one condition, and a measure takes a list per arm.
      largest: the effect is the largest number of any seed instead of the mean, and has to be
        *below* the limits: no interval.
      tie: the reason where every seed's number is exactly 0.
    """

    id: str
    claim: str
    source: str
    arms: tuple
    measure: Callable
    formula: str
    unit: str = "ln ratio"
    limits: Limits | None = Limits()
    asides: tuple = ()
    over_lr: bool = False
    largest: bool = False
    tie: str = "there is no difference at any seed"

    def limits_for(self, is_regression):
        if self.limits is not None:
            return self.limits
        margin = LOSS_MARGIN if is_regression else ACCURACY_MARGIN
        return Limits(-margin, -margin)

    def words(self, norms, is_regression):
        """`claim`, `formula` and `unit` for these arms, and for this kind of task."""
        start = f"{traces.EARLY_REGRESSION:.0%} of the" if is_regression else f"{training.EARLY}"
        unit = "ln ratio" if is_regression else "accuracy"
        filled = {
            "arm": next((norm for norm in norms if norm not in ("none", "bn")), norms[0]),
            "performance": "-ln(training loss)" if is_regression else "training accuracy",
            "margin": "ln 2" if is_regression else f"{ACCURACY_MARGIN:g}",
            "early": f"first {start} steps",
        }
        return {
            "claim": self.claim.format(**filled),
            "formula": self.formula.format(**filled),
            "unit": unit if self.unit == "performance" else self.unit,
        }


LP = ("l1", "l2", "linf")
_DIVERGED = "a run that diverged counts as untrained from there on"
_FINAL = f"mean {{performance}} over the last tenth of the common steps ({_DIVERGED})"
_CAPTURES = "median over the captures after the {early} of "
_RATIO = "a ratio counts as a million at most"
_CHANGE = (
    "median over the captures of ln(change with {{arm}} / change with none); change: median over "
    "layers and units of |change of the {0} of the non-linearity's inputs since the capture "
    f"before|, as in Fig 8; {_RATIO}"
)
_RANGE = (
    f"{_CAPTURES}ln(range of none / range of {{0}}); range: largest minus smallest loss along the "
    f"gradient over the step sizes; {_RATIO}, a loss that is not finite is unbounded"
)
_IN_DEVIATIONS = Aside("of both, in units of the deviation", measures.relative_change)

QUESTIONS = (
    Question(
        "faster-training",
        "A network with BN trains faster than one without.",
        "the paper, Fig 1",
        (("bn", "none"),),
        measures.training_gain,
        f"mean over the common steps of ({{performance}} of bn - that of none); {_DIVERGED}",
        unit="performance",
    ),
    Question(
        "larger-learning-rates",
        "A network with BN trains at larger learning rates than one without.",
        "the paper, Fig 1",
        (("bn", "none"),),
        measures.largest_lr,
        "log2(largest learning rate at which bn trains / that at which none trains), of those "
        "measured for both; an arm that trains at none counts with the smallest",
        unit="log2 ratio",
        over_lr=True,
        tie="both arms train up to the same learning rate of those measured: measure others",
    ),
    Question(
        "noise-does-not-hurt",
        "BN followed by injected noise trains about as well as BN.",
        "the paper, Fig 2",
        (("noisy_bn", "bn"),),
        measures.final_difference,
        f"{_FINAL}: noisy_bn - bn; supported above -{{margin}}, contradicted below",
        unit="performance",
        limits=None,
        asides=(Aside("noisy_bn - none", measures.final_gain, ("noisy_bn", "none")),),
    ),
    Question(
        "noise-shifts-inputs",
        "With noisy BN the inputs of a layer are less stable than without normalisation.",
        "the paper, Figs 2 and 8",
        (("noisy_bn", "none"),),
        measures.mean_change,
        _CHANGE.format("mean"),
        asides=(
            Aside("ln(noisy_bn / bn) of the same", measures.mean_change, ("noisy_bn", "bn")),
            Aside("the same of the variance", measures.variance_change),
            _IN_DEVIATIONS,
        ),
    ),
    Question(
        "noise-stops-standard",
        "The same noise stops a network without BN from training.",
        "the paper, section 2.1",
        (("noisy_none", "none"),),
        measures.progress_lost,
        "1 - progress of noisy_none / progress of none; progress: what the {performance} of the "
        "last tenth of the steps gained on a network that has learned nothing; supported above "
        f"{STOPPED:g}, contradicted below {NOT_STOPPED:g}",
        unit="share",
        limits=Limits(STOPPED, NOT_STOPPED),
    ),
    Question(
        "ics-not-reduced",
        "BN does not reduce internal covariate shift, compared at the same training loss.",
        "the paper, Definition 2.1, Fig 3",
        (("bn", "none"),),
        measures.matched_shift,
        "mean over the captures of bn of ln(relative shift of bn / relative shift of none at its "
        "capture with the nearest training loss (running mean), where within a factor of "
        f"{measures.MATCHED_WITHIN:g}); relative shift: median over the layers but the first of "
        f"||G - G'|| / ||G||; {_RATIO}; supported above -ln 1.25, contradicted below, where the "
        f"cosine of G and G' agrees within {COSINE_MARGIN:g}",
        limits=Limits(-SHIFT_MARGIN, -SHIFT_MARGIN),
        asides=(
            Aside(
                "cosine of none - cosine of bn",
                measures.matched_cosine,
                limits=Limits(-COSINE_MARGIN, -COSINE_MARGIN),
            ),
        ),
    ),
    Question(
        "loss-range",
        "Along the gradient the loss varies less with BN than without.",
        "the paper, Figs 4a and 10",
        (("none", "bn"),),
        measures.loss_range,
        _RANGE.format("bn", early="{early}"),
    ),
    Question(
        "gradient-predictiveness",
        "Along the gradient the gradient changes less with BN than without.",
        "the paper, Figs 4b and 10",
        (("none", "bn"),),
        measures.gradient_change,
        f"{_CAPTURES}ln(change of none / change of bn); change: largest l2 distance from the "
        f"gradient over the step sizes; {_RATIO}, a distance that is not a number is unbounded",
    ),
    Question(
        "smoothness",
        "The peaks of the effective beta-smoothness are lower with BN than without.",
        "the paper, Figs 4c and 10",
        (("none", "bn"),),
        measures.peak_smoothness,
        f"ln(peak of none / peak of bn); peak: largest effective beta over the captures after the "
        f"{{early}} (the mean sits at 2/lr for every arm); {_RATIO}",
    ),
    Question(
        "lp-trains-as-well",
        "Normalisation {arm} trains about as well as BN.",
        "the paper, Fig 5",
        tuple((norm, "bn") for norm in LP),
        measures.final_difference,
        f"{_FINAL}: {{arm}} - bn; supported above -{{margin}}, contradicted below",
        unit="performance",
        limits=None,
    ),
    Question(
        "lp-shifts-inputs",
        "With normalisation {arm} the inputs of a layer are less stable than without any.",
        "the paper, Fig 6",
        tuple((norm, "none") for norm in LP),
        # Not of the mean, which every normalisation holds.
        measures.variance_change,
        _CHANGE.format("variance"),
        asides=(Aside("the same of the mean", measures.mean_change), _IN_DEVIATIONS),
    ),
    Question(
        "lp-smooths",
        "Along the gradient the loss varies less with normalisation {arm} than without any.",
        "the paper, Figs 12 and 13",
        tuple(("none", norm) for norm in LP),
        measures.loss_range,
        _RANGE.format("{arm}", early="{early}"),
        asides=(
            Aside("the same of the change of the gradient", measures.gradient_change),
            Aside("the same of the peak smoothness", measures.peak_smoothness),
        ),
    ),
    Question(
        "theorem-4.1",
        "The gradient through a BN layer has the norm that Theorem 4.1 gives.",
        "the paper, Theorem 4.1",
        (("bn",),),
        measures.largest_identity_error,
        "largest relative difference of the two sides over layers, captures and seeds (float32); "
        f"supported below {TOLERANCE:g} at every seed, contradicted where largest and median are "
        "above it at every seed; no interval",
        unit="relative difference",
        limits=Limits(TOLERANCE, TOLERANCE),
        asides=(
            Aside("median", measures.median_identity_error, limits=Limits(TOLERANCE, TOLERANCE)),
        ),
        largest=True,
    ),
    Question(
        "rough-at-start",
        "Before the first update a network with BN is rougher than one without.",
        "Yang et al. 2019 (arXiv 1902.08129)",
        (("bn", "none"),),
        measures.first_smoothness,
        f"ln(effective beta of bn / effective beta of none) at step 0; {_RATIO}",
        asides=(Aside("the same of the peak in the rest of the start", measures.early_smoothness),),
    ),
)
