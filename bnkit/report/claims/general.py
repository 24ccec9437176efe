"""The claims that compare two arms, as questions about any arm against any baseline."""

import dataclasses

from bnkit.report.claims.catalogue import QUESTIONS, Aside, Question
from bnkit.report.claims.measures import inputs

_STUDY = {question.id: question for question in QUESTIONS}


@dataclasses.dataclass(frozen=True)
class General:
    """One column of the scorecard.

    Attributes:
        title: Heading of the column, said of the arm.
        question: What is asked; its `arms` are empty, and `claim` has `{arm}` and `{baseline}`.
        cases: Ids of the study's claims that ask the same of arms of their own.
        baseline_first: Whether the measure takes the baseline before the arm.
    """

    title: str
    question: Question
    cases: tuple
    baseline_first: bool = False

    def order(self, arm, baseline):
        """The two normalisations in the order of the measure."""
        return (baseline, arm) if self.baseline_first else (arm, baseline)


def _asked_of_any(case, claim, name=None, **changes):
    """The study's claim `case` as a general question, with the same measure and limits."""
    study = _STUDY[case]
    # What the study holds against arms of its own has no place beside any other.
    asides = tuple(aside for aside in study.asides if aside.arms is None)
    changes = {"asides": asides, **changes}
    return dataclasses.replace(study, id=name or case, claim=claim, arms=(), **changes)


_RELATIVE = (Aside("the same of both, in units of the deviation", inputs.relative_change),)

GENERAL = (
    General(
        "trains faster",
        _asked_of_any(
            "faster-training",
            "With {arm} a network trains faster than with {baseline}.",
        ),
        cases=("faster-training",),
    ),
    General(
        "trains at larger rates",
        _asked_of_any(
            "larger-learning-rates",
            "With {arm} a network trains at larger learning rates than with {baseline}.",
        ),
        cases=("larger-learning-rates",),
    ),
    General(
        "trains as well",
        _asked_of_any(
            "lp-trains-as-well",
            "With {arm} a network trains about as well as with {baseline}.",
            name="trains-as-well",
            source="the paper, Figs 2 and 5",
        ),
        cases=("noise-does-not-hurt", "lp-trains-as-well"),
    ),
    General(
        "stops training",
        _asked_of_any(
            "noise-stops-standard",
            "With {arm} a network does not train that does with {baseline}.",
            name="stops-training",
        ),
        cases=("noise-stops-standard",),
    ),
    General(
        "means less stable",
        _asked_of_any(
            "noise-shifts-inputs",
            "With {arm} the means of the inputs of a layer are less stable than with {baseline}.",
            name="shifts-means",
            asides=_RELATIVE,
        ),
        cases=("noise-shifts-inputs",),
    ),
    General(
        "variances less stable",
        _asked_of_any(
            "lp-shifts-inputs",
            "With {arm} the variances of the inputs of a layer are less stable than with "
            "{baseline}.",
            name="shifts-variances",
            asides=_RELATIVE,
        ),
        cases=("lp-shifts-inputs",),
    ),
    General(
        "shift (ICS) not reduced",
        _asked_of_any(
            "ics-not-reduced",
            "With {arm} internal covariate shift is no smaller than with {baseline}, compared at "
            "the same training loss.",
            asides=tuple(
                dataclasses.replace(aside, words="cosine of {1} - cosine of {0}")
                for aside in _STUDY["ics-not-reduced"].asides
            ),
        ),
        cases=("ics-not-reduced",),
    ),
    General(
        "loss varies less",
        _asked_of_any(
            "loss-range",
            "Along the gradient the loss varies less with {arm} than with {baseline}.",
        ),
        cases=("loss-range", "lp-smooths"),
        baseline_first=True,
    ),
    General(
        "gradient changes less",
        _asked_of_any(
            "gradient-predictiveness",
            "Along the gradient the gradient changes less with {arm} than with {baseline}.",
        ),
        cases=("gradient-predictiveness",),
        baseline_first=True,
    ),
    General(
        "lower peaks of β",
        _asked_of_any(
            "smoothness",
            "The peaks of the effective beta-smoothness are lower with {arm} than with {baseline}.",
        ),
        cases=("smoothness",),
        baseline_first=True,
    ),
    General(
        "rougher at the start",
        _asked_of_any(
            "rough-at-start",
            "Before the first update a network with {arm} is rougher than one with {baseline}.",
        ),
        cases=("rough-at-start",),
    ),
)

_OF_CASE = {case: general for general in GENERAL for case in general.cases}
_BY_ID = {general.question.id: general for general in GENERAL}


def roles(question, norms):
    """What a claim is about: `question` (id of the general one), `arm` and `baseline`.

    Args:
        question: One of the study's, or that of a `General`.
        norms: The normalisations in the order of the measure.
    """
    general = _OF_CASE.get(question.id) or _BY_ID.get(question.id)
    if general is None:
        return {"question": None, "arm": norms[0], "baseline": None}
    arm, baseline = reversed(norms) if general.baseline_first else norms
    return {"question": general.question.id, "arm": arm, "baseline": baseline}
