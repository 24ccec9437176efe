"""Measures in words."""

import string

import pytest

from bnkit.report.claims import formulas, limits
from bnkit.report.claims.measures import ics

FORMULAS = {name: text for name, text in vars(formulas).items() if isinstance(text, str)}
FORMULAS = {name: text for name, text in FORMULAS.items() if name.isupper()}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_names_arms_and_terms_only(name):
    names = {field for _, field, _, _ in string.Formatter().parse(FORMULAS[name])} - {None}
    assert names <= {"0", "1", "performance", "margin", "early"}


def test_terms_go_by_the_task():
    assert formulas.terms(is_regression=False) == {
        "performance": "training accuracy",
        "unit": "accuracy",
        "margin": "0.05",
        "early": "first 100 steps, or the first half of a run of fewer than 200,",
    }
    assert formulas.terms(is_regression=True) == {
        "performance": "-ln(training loss)",
        "unit": "ln ratio",
        "margin": "ln 2",
        "early": "first 1% of the steps",
    }


def test_the_limits_named_are_those_that_decide():
    stopped = f"above {limits.STOPPED:g}, contradicted below {limits.NOT_STOPPED:g}"
    assert stopped in formulas.PROGRESS_LOST
    tolerance = f"below {limits.TOLERANCE:g} at every seed"
    assert tolerance in formulas.LARGEST_BATCH_NORM_IDENTITY_ERROR
    assert f"within a factor of {ics.MATCHED_WITHIN:g})" in formulas.MATCHED_ICS
    assert f"agrees within {limits.COSINE_MARGIN:g}" in formulas.MATCHED_ICS
    ln_1_25 = 0.2231435513
    assert abs(limits.ICS_MARGIN - ln_1_25) < 1e-9
    assert "supported above -ln 1.25" in formulas.MATCHED_ICS


def test_the_change_of_the_variance_is_worded_like_that_of_the_mean():
    expected = formulas.MEAN_CHANGE.replace("of the mean of", "of the variance of")
    assert expected == formulas.VARIANCE_CHANGE
