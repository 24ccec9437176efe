"""The list of claims."""

import inspect

import pytest

from bnkit.report.claims import formulas
from bnkit.report.claims.catalogue import LP, QUESTIONS
from bnkit.report.claims.limits import as_well

LABELS = {
    **{"bn": "BN", "noisy_bn": "noisy BN", "noisy_none": "noise, no BN"},
    **{"l1": "L1", "l2": "L2", "linf": "L∞"},
}
IDS = [
    "faster-training",
    "larger-learning-rates",
    "noise-does-not-hurt",
    "noise-shifts-inputs",
    "noise-stops-standard",
    "ics-not-reduced",
    "loss-range",
    "gradient-predictiveness",
    "smoothness",
    "lp-trains-as-well",
    "lp-shifts-inputs",
    "lp-smooths",
    "theorem-4.1",
    "rough-at-start",
]


def test_the_claims_of_the_study_are_in_its_order():
    assert [question.id for question in QUESTIONS] == IDS


@pytest.mark.parametrize("question", QUESTIONS, ids=IDS)
def test_measure_and_formula_fit_the_arms(question):
    assert question.formula == getattr(formulas, question.measure.__name__.upper())
    for norms in question.arms:
        assert len(inspect.signature(question.measure).parameters) == len(norms)
        assert ("{1}" in question.formula) == (len(norms) > 1)
    for aside in question.asides:
        for norms in question.arms if aside.arms is None else [aside.arms]:
            assert len(inspect.signature(aside.measure).parameters) == len(norms)


@pytest.mark.parametrize("is_regression", [False, True])
@pytest.mark.parametrize("question", QUESTIONS, ids=IDS)
def test_words_are_filled_in(question, is_regression):
    for norms in question.arms:
        words = question.words(norms, is_regression)
        assert set(words) == {"claim", "formula", "unit"}
        for text in words.values():
            assert text and "{" not in text and "}" not in text
        if len(norms) > 1:
            assert all(LABELS.get(norm, norm) in words["formula"] for norm in norms)


def test_claims_on_lp_normalisations_name_the_one_that_is_meant():
    for question in QUESTIONS:
        if len(question.arms) == 1:
            continue
        for norms, norm in zip(question.arms, LP, strict=True):
            assert norm in norms
            assert f"ormalisation {LABELS[norm]} " in question.words(norms, False)["claim"]


def test_the_unit_of_performance_goes_by_the_task():
    by_id = {question.id: question for question in QUESTIONS}
    units = [by_id["faster-training"].words(("bn", "none"), task)["unit"] for task in (False, True)]
    assert units == ["accuracy", "ln ratio"]
    assert by_id["loss-range"].words(("none", "bn"), False)["unit"] == "ln ratio"


def test_as_well_is_the_limit_where_none_is_given():
    by_id = {question.id: question for question in QUESTIONS}
    for task in (False, True):
        assert by_id["lp-trains-as-well"].limits_for(task) == as_well(task)
        assert by_id["noise-stops-standard"].limits_for(task).above == 0.95
