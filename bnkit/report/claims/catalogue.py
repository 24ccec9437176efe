"""The claims that are examined: what each says, how it is measured, and when it is decided."""

import dataclasses
from collections.abc import Callable

from bnkit.report import naming
from bnkit.report.claims import formulas, limits
from bnkit.report.claims.limits import ABOVE_ZERO, Limits
from bnkit.report.claims.measures import batch_norm_identity, ics, inputs, landscape, training


@dataclasses.dataclass(frozen=True)
class Aside:
    """A further comparison that the reason names.

    Attributes:
        words: What is compared, with `{0}` and `{1}` for the arms; the reason has the number after
            it.
        measure: As in a `Question`.
        arms: The normalisations in the measure's order; None for the question's own.
        limits: If there are any, this comparison must come to the same verdict.
    """

    words: str
    measure: Callable
    arms: tuple | None = None
    limits: Limits | None = None


@dataclasses.dataclass(frozen=True)
class Question:
    """One claim.

    Attributes:
        id: As in a `Claim`.
        claim: The claim in one sentence, with `{0}` and `{1}` for the arms; a question about any
            arm (`general`) has `{arm}` and `{baseline}`.
        source: As in a `Claim`.
        arms: The pairs of normalisations to compare, or single ones; each has its own verdict.
        measure: From a `Trace` per arm to a number (`claims.measures`).
        formula: The measure in words, one of `claims.formulas`.
        unit: Of the effect; None for that of performance.
        limits: What decides; None for "about as well" in performance.
        asides: Further comparisons that the reason names.
        over_lr: Whether all learning rates are one condition, and a measure takes a list per arm.
        largest: The effect is the largest number of any seed instead of the mean, and has to be
            *below* the limits: no interval.
        tie: The reason if every seed's number is exactly 0.
    """

    id: str
    claim: str
    source: str
    arms: tuple
    measure: Callable
    formula: str
    unit: str | None = "ln ratio"
    limits: Limits | None = ABOVE_ZERO
    asides: tuple = ()
    over_lr: bool = False
    largest: bool = False
    tie: str = "there is no difference at any seed"

    def limits_for(self, is_regression):
        return limits.as_well(is_regression) if self.limits is None else self.limits

    def words(self, norms, is_regression, **roles):
        """`claim`, `formula` and `unit` for these arms, and for this kind of task.

        `roles` are the `arm` and the `baseline`, which a question about any arm names. Both texts
        call the arms what figures call them.
        """
        terms = formulas.terms(is_regression)
        norms = labels(norms)
        roles = {role: naming.plain(norm) for role, norm in roles.items() if norm is not None}
        return {
            "claim": self.claim.format(*norms, **roles),
            "formula": self.formula.format(*norms, **terms),
            "unit": self.unit or terms["unit"],
        }


def labels(norms):
    """What normalisations are called in text."""
    return [naming.plain(norm) for norm in norms]


LP = ("l1", "l2", "linf")

QUESTIONS = (
    Question(
        "faster-training",
        "A network with BN trains faster than one without.",
        "the paper, Fig 1",
        (("bn", "none"),),
        training.training_gain,
        formulas.TRAINING_GAIN,
        unit=None,
    ),
    Question(
        "larger-learning-rates",
        "A network with BN trains at larger learning rates than one without.",
        "the paper, Fig 1",
        (("bn", "none"),),
        training.largest_lr,
        formulas.LARGEST_LR,
        unit="log2 ratio",
        over_lr=True,
        tie="both arms train up to the same learning rate of those measured: measure others",
    ),
    Question(
        "noise-does-not-hurt",
        "BN followed by injected noise trains about as well as BN.",
        "the paper, Fig 2",
        (("noisy_bn", "bn"),),
        training.final_difference,
        formulas.FINAL_DIFFERENCE,
        unit=None,
        limits=None,
        asides=(Aside("noisy BN - none", training.final_gain, ("noisy_bn", "none")),),
    ),
    Question(
        "noise-shifts-inputs",
        "With noisy BN the inputs of a layer are less stable than without normalisation.",
        "the paper, Figs 2 and 8",
        (("noisy_bn", "none"),),
        inputs.mean_change,
        formulas.MEAN_CHANGE,
        asides=(
            Aside("ln(noisy BN / BN) of the same", inputs.mean_change, ("noisy_bn", "bn")),
            Aside("the same of the variance", inputs.variance_change),
            Aside("the same of both, in units of the deviation", inputs.relative_change),
        ),
    ),
    Question(
        "noise-stops-standard",
        "The same noise stops a network without BN from training.",
        "the paper, section 2.1",
        (("noisy_none", "none"),),
        training.progress_lost,
        formulas.PROGRESS_LOST,
        unit="share",
        limits=Limits(limits.STOPPED, limits.NOT_STOPPED),
    ),
    Question(
        "ics-not-reduced",
        "BN does not reduce internal covariate shift, compared at the same training loss.",
        "the paper, Definition 2.1, Fig 3",
        (("bn", "none"),),
        ics.matched_ics,
        formulas.MATCHED_ICS,
        limits=Limits(-limits.ICS_MARGIN, -limits.ICS_MARGIN),
        asides=(
            Aside(
                "cosine of none - cosine of BN",
                ics.matched_cosine,
                limits=Limits(-limits.COSINE_MARGIN, -limits.COSINE_MARGIN),
            ),
        ),
    ),
    Question(
        "loss-range",
        "Along the gradient the loss varies less with BN than without.",
        "the paper, Figs 4a and 10",
        (("none", "bn"),),
        landscape.loss_range,
        formulas.LOSS_RANGE,
    ),
    Question(
        "gradient-predictiveness",
        "Along the gradient the gradient changes less with BN than without.",
        "the paper, Figs 4b and 10",
        (("none", "bn"),),
        landscape.gradient_change,
        formulas.GRADIENT_CHANGE,
    ),
    Question(
        "smoothness",
        "The peaks of the effective beta-smoothness are lower with BN than without.",
        "the paper, Figs 4c and 10",
        (("none", "bn"),),
        landscape.peak_smoothness,
        formulas.PEAK_SMOOTHNESS,
    ),
    Question(
        "lp-trains-as-well",
        "Normalisation {0} trains about as well as BN.",
        "the paper, Fig 5",
        tuple((norm, "bn") for norm in LP),
        training.final_difference,
        formulas.FINAL_DIFFERENCE,
        unit=None,
        limits=None,
    ),
    Question(
        "lp-shifts-inputs",
        "With normalisation {0} the inputs of a layer are less stable than without any.",
        "the paper, Fig 6",
        tuple((norm, "none") for norm in LP),
        # Not of the mean, which every normalisation holds.
        inputs.variance_change,
        formulas.VARIANCE_CHANGE,
        asides=(
            Aside("the same of the mean", inputs.mean_change),
            Aside("the same of both, in units of the deviation", inputs.relative_change),
        ),
    ),
    Question(
        "lp-smooths",
        "Along the gradient the loss varies less with normalisation {1} than without any.",
        "the paper, Figs 12 and 13",
        tuple(("none", norm) for norm in LP),
        landscape.loss_range,
        formulas.LOSS_RANGE,
        asides=(
            Aside("the same of the change of the gradient", landscape.gradient_change),
            Aside("the same of the peak smoothness", landscape.peak_smoothness),
        ),
    ),
    Question(
        "theorem-4.1",
        "The gradient through a BN layer has the norm that Theorem 4.1 gives.",
        "the paper, Theorem 4.1",
        (("bn",),),
        batch_norm_identity.largest_batch_norm_identity_error,
        formulas.LARGEST_BATCH_NORM_IDENTITY_ERROR,
        unit="relative difference",
        limits=Limits(limits.TOLERANCE, limits.TOLERANCE),
        asides=(
            Aside(
                "median",
                batch_norm_identity.median_batch_norm_identity_error,
                limits=Limits(limits.TOLERANCE, limits.TOLERANCE),
            ),
        ),
        largest=True,
    ),
    Question(
        "rough-at-start",
        "Before the first update a network with BN is rougher than one without.",
        "Yang et al. 2019 (arXiv 1902.08129)",
        (("bn", "none"),),
        landscape.first_smoothness,
        formulas.FIRST_SMOOTHNESS,
        asides=(
            Aside("the same of the peak in the rest of the start", landscape.early_smoothness),
        ),
    ),
)
