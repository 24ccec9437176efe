"""The list of general claims."""

import inspect
import itertools

import pytest

from bnkit.report.claims import GENERAL, QUESTIONS, formulas
from bnkit.report.claims.general import roles

IDS = [general.question.id for general in GENERAL]
STUDY = {question.id: question for question in QUESTIONS}


def test_every_claim_of_the_study_on_two_arms_is_a_case_of_one_general_claim():
    cases = [case for general in GENERAL for case in general.cases]
    compared = [question.id for question in QUESTIONS if len(question.arms[0]) == 2]
    assert sorted(cases) == sorted(compared) and set(STUDY) - set(cases) == {"theorem-4.1"}
    assert len(set(IDS)) == len(IDS) == len({general.title for general in GENERAL})
    # An id of the study's stands for the same question of other arms.
    assert all(
        general.question.id not in STUDY or general.question.id in general.cases
        for general in GENERAL
    )


@pytest.mark.parametrize("general", GENERAL, ids=IDS)
def test_a_case_is_measured_and_decided_in_the_same_way(general):
    for case in map(STUDY.get, general.cases):
        assert case.measure is general.question.measure
        assert case.formula == general.question.formula
        assert (case.unit, case.over_lr) == (general.question.unit, general.question.over_lr)
        for is_regression in (False, True):
            assert case.limits_for(is_regression) == general.question.limits_for(is_regression)
        deciding = [aside.measure for aside in case.asides if aside.limits]
        assert deciding == [aside.measure for aside in general.question.asides if aside.limits]


@pytest.mark.parametrize("is_regression", [False, True])
@pytest.mark.parametrize("general", GENERAL, ids=IDS)
def test_the_words_name_the_arm_before_the_baseline(general, is_regression):
    question, norms = general.question, general.order("ARM", "BASE")
    assert question.arms == ()
    about = roles(question, norms)
    assert about == {"question": question.id, "arm": "ARM", "baseline": "BASE"}
    words = question.words(norms, is_regression, arm="ARM", baseline="BASE")
    assert 0 <= words["claim"].index("ARM") < words["claim"].index("BASE")
    assert "{" not in "".join(words.values())
    assert question.formula == getattr(formulas, question.measure.__name__.upper())
    for aside in question.asides:
        assert aside.arms is None and "{" not in aside.words.format(*norms)
        assert not any(norm in aside.words for norm in ("bn", "none"))
        assert len(inspect.signature(aside.measure).parameters) == 2


def test_the_arm_of_a_claim_of_the_study_is_the_normalisation_that_it_is_about():
    arms = {
        question.id: [roles(question, norms)["arm"] for norms in question.arms]
        for question in QUESTIONS
    }
    lp, noisy = ["l1", "l2", "linf"], ["noisy_bn"]
    assert arms == {
        **{name: ["bn"] for name in STUDY},
        **{"lp-trains-as-well": lp, "lp-shifts-inputs": lp, "lp-smooths": lp},
        **{"noise-does-not-hurt": noisy, "noise-shifts-inputs": noisy},
        "noise-stops-standard": ["noisy_none"],
    }
    pairs = itertools.chain.from_iterable(question.arms for question in QUESTIONS)
    assert {len(norms) for norms in pairs} == {1, 2}
    assert roles(STUDY["theorem-4.1"], ("bn",)) == {
        "question": None,
        "arm": "bn",
        "baseline": None,
    }
