"""Verdicts from numbers, one per seed."""

import dataclasses

import numpy as np
import pytest

from bnkit.report.claims import judge
from bnkit.report.claims.catalogue import QUESTIONS
from bnkit.report.claims.limits import Limits
from bnkit.report.statistics import bootstrap

MEAN = dataclasses.replace(QUESTIONS[0], largest=False, tie="a tie")
LARGEST = dataclasses.replace(MEAN, largest=True)


@pytest.mark.parametrize(
    ("values", "limits", "expected"),
    [
        ([0.5, 0.3, 0.55], Limits(), "supported"),
        ([-0.5, -0.3, -0.55], Limits(), "contradicted"),
        ([0.2, -0.1, 0.0], Limits(), "inconclusive"),
        ([0.0, 0.0, 0.0], Limits(), "inconclusive"),
        ([-0.02, -0.021, -0.019], Limits(-0.05, -0.05), "supported"),
        ([-0.02, -0.021, -0.019], Limits(), "contradicted"),
        ([0.97, 0.98, 0.99], Limits(0.95, 0.5), "supported"),
        ([0.7, 0.71, 0.72], Limits(0.95, 0.5), "inconclusive"),
        ([0.2, 0.21, 0.22], Limits(0.95, 0.5), "contradicted"),
    ],
)
def test_the_interval_decides(values, limits, expected):
    low, high = bootstrap.interval(values)
    # By hand, from the interval itself.
    assert (low > limits.above, high < limits.below) == (
        expected == "supported",
        expected == "contradicted",
    )
    assert judge.verdict(values, limits, MEAN)[0] == expected
    assert judge.interval(values, MEAN) == (low, high)
    assert judge.effect(values, MEAN) == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-6, 2e-6, 9e-3], "supported"),
        ([1e-6, 2e-6, 0.5], "inconclusive"),
        ([0.02, 0.03, 0.5], "contradicted"),
    ],
)
def test_a_largest_value_must_be_below_the_limit_at_every_seed(values, expected):
    assert judge.verdict(values, Limits(0.01, 0.01), LARGEST)[0] == expected
    assert judge.effect(values, LARGEST) == max(values)
    assert judge.interval(values, LARGEST) is None


@pytest.mark.parametrize("question", [MEAN, LARGEST])
@pytest.mark.parametrize(
    ("values", "count"), [([], "no seeds"), ([9.0], "1 seed"), ([9.0, 9.1], "2 seeds")]
)
def test_fewer_than_three_seeds_never_decide(values, count, question):
    verdict, why = judge.verdict(values, Limits(), question)
    assert verdict == "inconclusive" and why == f"{count} to compare, and a verdict needs 3"
    assert judge.interval(values, question) is None
    assert (judge.effect(values, question) is None) == (not values)


def test_the_reason_names_what_the_interval_was_held_against():
    def why(values, limits):
        return judge.verdict(values, limits, MEAN)[1]

    assert why([0.5, 0.3, 0.55], Limits()) == "the interval is above 0"
    assert why([-0.5, -0.3, -0.55], Limits()) == "the interval is below 0"
    assert why([0.2, -0.1, 0.0], Limits()) == "the interval contains 0"
    assert why([0.7, 0.71, 0.72], Limits(0.95, 0.5)) == (
        "the interval is neither above 0.95 nor below 0.5"
    )
    assert why([0.0, 0.0, 0.0], Limits()) == "a tie"


@pytest.mark.parametrize(
    ("values", "limits", "limit"),
    [
        ([0.5, 0.3, 0.55], Limits(), 0.0),
        ([-0.5, -0.3, -0.55], Limits(), 0.0),
        ([0.02, 0.021, 0.019], Limits(-0.05, -0.05), -0.05),
        ([0.97, 0.98, 0.99], Limits(0.95, 0.5), 0.95),
        ([0.2, 0.21, 0.22], Limits(0.95, 0.5), 0.5),
    ],
)
def test_the_p_value_is_held_against_the_limit_that_the_mean_has_passed(values, limits, limit):
    t = abs(np.mean(values) - limit) / (np.std(values, ddof=1) / np.sqrt(3))
    assert judge.p_value(values, limits, MEAN) == pytest.approx(1 - t / np.sqrt(2 + t**2))


def test_between_two_limits_there_is_nothing_to_reject():
    assert judge.p_value([0.7, 0.71, 0.72], Limits(0.95, 0.5), MEAN) == 1.0
    assert judge.more_seeds([0.7, 0.71, 0.72], Limits(0.95, 0.5), MEAN) == (
        None,
        "no number of seeds would decide",
    )


def test_a_largest_value_and_few_seeds_have_no_p_value():
    for values, question in (([0.1, 0.2, 0.3], LARGEST), ([0.1, 0.2], MEAN), ([], MEAN)):
        assert judge.p_value(values, Limits(), question) is None
        assert judge.more_seeds(values, Limits(), question) == (None, None)


def test_how_many_seeds_would_decide():
    # The deviation is 1; the quantiles are in `test_student`.
    assert judge.more_seeds([0.0, 1.0, 2.0], Limits(), MEAN) == (7, "7 seeds would decide")
    assert judge.more_seeds([0.0, 1.0, 2.0], Limits(-0.25, -0.25), MEAN)[0] == 5
    assert judge.more_seeds([-1.0, 0.1, 1.1], Limits(), MEAN) == (
        None,
        "more than 100 seeds would decide",
    )
    assert judge.more_seeds([-1.0, 0.0, 1.0], Limits(), MEAN) == (
        None,
        "no number of seeds would decide",
    )
