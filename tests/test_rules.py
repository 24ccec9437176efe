import math

import numpy as np
import pytest

from bnkit import rules

FLOAT32_MAX = float(np.finfo(np.float32).max)

# Rule -> values on either side of its border.
BORDERS = {
    rules.POSITIVE: (
        [2.0**-126, 3, FLOAT32_MAX, 10**38],
        [0, -1e-30, 2.0**-127, 1e-300, 1e39, 10**39, 10**400, math.inf, math.nan, True, "1", None],
    ),
    rules.NOT_NEGATIVE: (
        [0, 0.0, 2, FLOAT32_MAX],
        [-1e-30, 1e-300, 1e39, -1e39, 10**400, math.inf, math.nan, False, None],
    ),
    # In float32, the last number below 1 is 1 - 2^-24; from halfway to 1 numbers round to 1.
    rules.FRACTION: (
        [0, 0.999, 1 - 2.0**-24],
        [1, 1 - 2.0**-26, -0.1, math.nan, 10**400, False, None],
    ),
    rules.COUNT: ([1, 2**40, 2**63 - 1], [0, 1.0, True, "1", None, 2**63, 10**400]),
    rules.SEED: ([0, 2**31 - 1], [-1, 2**31, 1.0, False, None]),
    rules.TRUTH: ([True, False], [0, 1, "true", None]),
    rules.RISING: (
        [(0.1,), (1, 2.5), (1, 1 + 1e-6), (1e-30, FLOAT32_MAX)],
        [
            *[(), [0.1], (0, 1), (1, 1), (2, 1), (1, math.inf), ("a",)],
            *[(1, 1 + 1e-9), (1, 1e39), (1e-300, 1), (1, 1e300), (1, 10**400)],
        ],
    ),
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
