import math

import pytest

from bnkit import rules

# Rule -> values on either side of its border.
BORDERS = {
    rules.POSITIVE: ([1e-300, 3], [0, -1e-300, math.inf, math.nan, True, "1", None]),
    rules.NOT_NEGATIVE: ([0, 0.0, 2], [-1e-300, math.inf, math.nan, False, None]),
    rules.FRACTION: ([0, 0.999], [1, -0.1, math.nan, False, None]),
    rules.COUNT: ([1, 2**40], [0, 1.0, True, "1", None]),
    rules.SEED: ([0, 2**31 - 1], [-1, 2**31, 1.0, False, None]),
    rules.TRUTH: ([True, False], [0, 1, "true", None]),
    rules.RISING: ([(0.1,), (1, 2.5)], [(), [0.1], (0, 1), (1, 1), (2, 1), (1, math.inf), ("a",)]),
    rules.one_of(("sgd", "adam")): (["sgd", "adam"], ["SGD", "", None, ["sgd"], 0]),
}


@pytest.mark.parametrize("rule", BORDERS, ids=lambda rule: rule.valid)
def test_a_rule_accepts_what_it_says(rule):
    valid, invalid = BORDERS[rule]
    assert [value for value in valid if not rule.accepts(value)] == []
    assert [value for value in invalid if rule.accepts(value)] == []


def test_a_choice_says_what_there_is_to_choose():
    assert rules.one_of(("sgd", "adam")).valid == "one of sgd, adam"


def test_every_rule_is_held_against_its_borders():
    defined = {value for value in vars(rules).values() if isinstance(value, rules.Rule)}
    assert defined < set(BORDERS)
