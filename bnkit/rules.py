"""What a value may be: a test, and words for what is valid."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple


class Rule(NamedTuple):
    """What is valid for one value.

    Attributes:
        accepts: Called with the value; whether it is valid.
        valid: What is valid, to go on from "must be".
    """

    accepts: Callable
    valid: str


def one_of(choices):
    """The rule of a value that is one of a few names."""
    return Rule(lambda value: value in choices, f"one of {', '.join(choices)}")


def is_number(value):
    """Whether this is a finite number, and not a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value, least=1):
    """Whether this is a whole number that is not below `least`, and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_rising(value):
    """Whether this is a tuple of finite numbers > 0, at least one, each larger than the last."""
    return (
        isinstance(value, tuple)
        and len(value) > 0
        and all(is_number(entry) and entry > 0 for entry in value)
        and all(entry < following for entry, following in itertools.pairwise(value))
    )


POSITIVE = Rule(lambda value: is_number(value) and value > 0, "a finite number > 0")
NOT_NEGATIVE = Rule(lambda value: is_number(value) and value >= 0, "a finite number >= 0")
FRACTION = Rule(lambda value: is_number(value) and 0 <= value < 1, "a number in [0, 1)")
COUNT = Rule(is_count, "a whole number >= 1")
SEED = Rule(lambda value: is_count(value, 0) and value < 2**31, "a whole number in [0, 2^31)")
TRUTH = Rule(lambda value: isinstance(value, bool), "true or false")
RISING = Rule(is_rising, "a rising list of finite numbers > 0")
