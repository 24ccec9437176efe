"""What a value may be: a test, and words for what is valid."""

import itertools
import math
import struct
from collections.abc import Callable
from typing import NamedTuple

# What stands for a learning rate that is to be found (`bnkit.study.range_test`).
AUTO = "auto"


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
    """Whether this is a number that float32 can hold, and not a truth value.

    Everything is computed in float32, where 1e39 is infinite and 1e-39 may become 0.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        rounded = _as_float32(value)
    except OverflowError:
        return False
    return math.isfinite(rounded) and (value == 0 or abs(rounded) >= _SMALLEST)


def is_count(value, least=1):
    """Whether this is a whole number that is not below `least`, and not a truth value.

    Steps and sizes are int64 in TensorFlow.
    """
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def is_rising(value):
    """Whether this is a tuple of numbers > 0, at least one, each larger than the last."""
    return (
        isinstance(value, tuple)
        and len(value) > 0
        and all(is_number(entry) and entry > 0 for entry in value)
        and all(one < other for one, other in itertools.pairwise(map(_as_float32, value)))
    )


def _as_float32(value):
    """The nearest number that float32 has.

    Raises:
        OverflowError: For a number beyond its range.
    """
    return struct.unpack("f", struct.pack("f", float(value)))[0]


# The smallest number that float32 holds with all its digits.
_SMALLEST = 2.0**-126

POSITIVE = Rule(
    lambda value: is_number(value) and value > 0, "a finite number > 0 that float32 can hold"
)
NOT_NEGATIVE = Rule(
    lambda value: is_number(value) and value >= 0, "a finite number >= 0 that float32 can hold"
)
FRACTION = Rule(
    lambda value: is_number(value) and value >= 0 and _as_float32(value) < 1, "a number in [0, 1)"
)
COUNT = Rule(is_count, "a whole number >= 1, below 2^63")
SEED = Rule(lambda value: is_count(value, 0) and value < 2**31, "a whole number in [0, 2^31)")
TRUTH = Rule(lambda value: isinstance(value, bool), "true or false")
RISING = Rule(is_rising, "a rising list of finite numbers > 0 that float32 can hold")
