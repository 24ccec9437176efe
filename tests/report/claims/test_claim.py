"""A claim as plain values, and its numbers in words."""

import json
import math

from bnkit.report.claims import Claim, in_words

FIELDS = [
    *("id", "claim", "source", "arms", "condition", "formula", "unit", "effect", "interval"),
    *("seeds", "verdict", "reason", "brief", "of_study", "question", "arm", "baseline"),
    *("p", "p_holm", "seeds_needed"),
]


def _claim(effect, interval):
    return Claim("a", "b", "c", ("bn", "none"), "d", "e", "f", effect, interval, 3, "g", "h", "i")


def test_a_claim_is_plain_json():
    claim = _claim(0.5, (0.25, 0.75)).to_dict()
    assert list(claim) == FIELDS
    assert json.loads(json.dumps(claim, allow_nan=False)) == claim
    assert claim["effect"] == 0.5 and claim["interval"] == [0.25, 0.75]
    assert claim["arms"] == ["bn", "none"] and claim["seeds"] == 3


def test_numbers_that_are_not_finite_are_text_and_missing_ones_none():
    strange = _claim(math.inf, (math.nan, -math.inf)).to_dict()
    assert strange["effect"] == "inf" and strange["interval"] == ["nan", "-inf"]
    missing = _claim(None, None).to_dict()
    assert missing["effect"] is None and missing["interval"] is None


def test_effect_and_interval_in_words():
    assert in_words(0.123456, (-1.0, 2000.4)) == "0.123 [-1, 2e+03]"
    assert in_words(0.123456, (-1.04, 2000.4), digits=2) == "0.12 [-1, 2e+03]"
    assert in_words(2e-6, None) == "2e-06"
