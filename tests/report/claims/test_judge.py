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
