"""Holm's adjustment, against its definition."""

import random

import pytest

from bnkit.report.statistics import multiple


def test_three_p_values_by_hand():
    # The smallest times 3, the next one times 2, the largest times 1 but no less than that.
    assert multiple.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_alone_a_p_value_stays_and_none_are_none():
    assert multiple.holm([0.2]) == pytest.approx([0.2])
    assert multiple.holm([]) == []


def test_each_is_the_level_at_which_its_comparison_is_rejected():
    choice = random.Random(1)
    p_values = [choice.random() ** 4 for _ in range(40)]
    adjusted = multiple.holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected, left = set(), len(p_values)
        for number in sorted(range(len(p_values)), key=p_values.__getitem__):
            if p_values[number] > level / left:
                break
            rejected.add(number)
            left -= 1
        assert {number for number, one in enumerate(adjusted) if one <= level} == rejected
