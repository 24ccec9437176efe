"""Effects in words; the numbers are worked out by hand."""

import math

import pytest

from bnkit.report import claims
from bnkit.report.page import effects


def claim(question="loss-range", effect=0.0, interval=None, unit="ln ratio", **fields):
    """A claim as in `claims.json`, of BN against none unless told otherwise."""
    given = {"arm": "bn", "baseline": "none", "seeds": 3}
    return {
        "question": question,
        "effect": effect,
        "interval": interval,
        "unit": unit,
        **given,
        **fields,
    }


@pytest.mark.parametrize(
    ("question", "unit", "effect", "interval", "words"),
    [
        ("loss-range", "ln ratio", math.log(80), (3.4, 424), "80 times narrower [3.4, 424]"),
        # exp(0.3) = 1.35, and the ends change places where the arm is the wider one.
        ("loss-range", "ln ratio", -math.log(4), (1 / 8, 1 / 2), "4 times wider [2, 8]"),
        ("smoothness", "ln ratio", math.log(2), (0.5, 8), "2 times lower [0.5, 8]"),
        ("smoothness", "ln ratio", math.log(1.046), (0.73, 1.3), "1.05 times lower [0.73, 1.3]"),
        ("rough-at-start", "ln ratio", math.log(12345), None, "12,300 times higher"),
        ("ics-not-reduced", "ln ratio", 0.0, (1, 1), "the same [1, 1]"),
        ("loss-range", "ln ratio", math.log(1e6), None, "at least 1,000,000 times narrower"),
        # No bound on the loss of a regression: not cut off.
        ("faster-training", "ln ratio", math.log(2e6), None, "2,000,000 times lower"),
        ("faster-training", "ln ratio", 40.0, None, "2.4e+17 times lower"),
        ("faster-training", "ln ratio", 1e4, None, "inf times lower"),
    ],
)
def test_ratios_are_factors(question, unit, effect, interval, words):
    logarithms = interval and [math.log(end) for end in interval]
    assert effects.read(claim(question, effect, logarithms, unit)) == words


@pytest.mark.parametrize(
    ("question", "unit", "effect", "interval", "words"),
    [
        ("larger-learning-rates", "log2 ratio", 3.0, [2, 4], "8 times higher [4, 16]"),
        ("faster-training", "accuracy", 0.436, [0.42, 0.44], "43.6 points higher [42.0, 44.0]"),
        ("trains-as-well", "accuracy", -0.02, [-0.03, 0.01], "2.0 points lower [-1.0, 3.0]"),
        ("trains-as-well", "accuracy", 0.0004, None, "0.04 points higher"),
        ("trains-as-well", "accuracy", 0.0, [0.0, 0.0], "the same [0.00, 0.00]"),
        ("stops-training", "share", 0.94, [0.9, 1.0], "94.0 % smaller [90.0, 100.0]"),
        ("stops-training", "share", -0.5, None, "50.0 % greater"),
        (None, "relative difference", 2.53e-5, None, "2.5e-05"),
    ],
)
def test_other_effects(question, unit, effect, interval, words):
    assert effects.read(claim(question, effect, interval, unit)) == words


def test_sentences_name_what_is_compared():
    found = claim(effect=math.log(80), interval=[math.log(3.4), math.log(424)])
    text = "Along the gradient the loss range with BN is 80 times narrower [3.4, 424], 3 seeds"
    assert effects.sentence(found) == text
    beside_bn = claim(effect=-math.log(3), arm="l2", baseline="bn", seeds=1)
    assert effects.sentence(beside_bn) == (
        "Along the gradient the loss range with L2 is 3 times wider than with BN, 1 seed"
    )
    same = claim("trains-as-well", 0.0, unit="accuracy", arm="my:Norm", baseline="bn")
    assert effects.sentence(same) == (
        "At the end of the training the accuracy with my:Norm is the same as with BN, 3 seeds"
    )
    theorem = claim(None, 2.5e-5, unit="relative difference", baseline=None)
    assert effects.sentence(theorem).startswith("The gradient through BN is that of Theorem 4.1")


@pytest.mark.parametrize("is_regression", [False, True])
@pytest.mark.parametrize("general", claims.GENERAL, ids=lambda general: general.question.id)
def test_every_question_of_the_scorecard_has_words(general, is_regression):
    unit = general.question.words(("a", "b"), is_regression, arm="a", baseline="b")["unit"]
    for effect in (0.5, -0.5):
        found = claim(general.question.id, effect, unit=unit)
        text = effects.read(found)
        subject = effects.sentence(found).partition(text)[0]
        assert text[0].isdigit() and text.split()[-1].isalpha() and subject.count("BN") == 1
    more, less = (effects.read(claim(general.question.id, one, unit=unit)) for one in (0.5, -0.5))
    assert more.split()[-1] != less.split()[-1]
