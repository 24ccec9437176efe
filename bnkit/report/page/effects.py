"""Effects as people read them: "80 times narrower [3.4, 424]" in place of a logarithm."""

import math

from bnkit.report import naming
from bnkit.report.claims.measures.ratios import LARGEST

# Question -> what is compared, and what it is of the arm where the effect is positive, and where
# it is negative.
_WORDS = {
    "loss-range": ("Along the gradient the loss range with {arm} is", "narrower", "wider"),
    "gradient-predictiveness": (
        "Along the gradient the change of the gradient with {arm} is",
        "smaller",
        "larger",
    ),
    "smoothness": ("The largest effective β-smoothness with {arm} is", "lower", "higher"),
    "rough-at-start": (
        "Before the first update the effective β-smoothness with {arm} is",
        "higher",
        "lower",
    ),
    "larger-learning-rates": (
        "The largest learning rate that a network with {arm} trains at is",
        "higher",
        "lower",
    ),
    "ics-not-reduced": (
        "At the same training loss the internal covariate shift with {arm} is",
        "larger",
        "smaller",
    ),
    "shifts-means": (
        "From probe to probe the means of the inputs of a layer with {arm} change",
        "more",
        "less",
    ),
    "shifts-variances": (
        "From probe to probe the variances of the inputs of a layer with {arm} change",
        "more",
        "less",
    ),
    "stops-training": ("The progress of the training with {arm} is", "smaller", "greater"),
}
# Of the two that are about performance: what is compared, in a classification and a regression.
_PERFORMANCE = {
    "faster-training": (
        "Over the training the accuracy with {arm} is",
        "Over the training the training loss with {arm} is",
    ),
    "trains-as-well": (
        "At the end of the training the accuracy with {arm} is",
        "At the end of the training the training loss with {arm} is",
    ),
}
_BASES = {"ln ratio": math.e, "log2 ratio": 2.0}


def read(claim):
    """The effect of a claim and, unless it is None, its interval, in words.

    A ratio is given as a factor, of which the interval is in the same direction: below 1 it is in
    the other one. A difference of accuracies is given in percentage points.

    Args:
        claim: A dict, as in `claims.json`, with an effect.

    >>> claim = {"question": "loss-range", "unit": "ln ratio", "effect": 4.382}
    >>> read({**claim, "interval": [1.224, 6.05]})
    '80 times narrower [3.4, 424]'
    """
    return " ".join(filter(None, parts(claim)))


def parts(claim):
    """The two parts of `read`: the effect, and the interval in brackets, or ""."""
    value, ends = claim["effect"], claim["interval"] or ()
    _, more, less = _words(claim)
    direction, sign = (more, 1) if value >= 0 else (less, -1)
    if claim["unit"] in _BASES:
        base = _BASES[claim["unit"]]
        factor, *ends = (_number(_power(base, sign * end)) for end in (value, *ends))
        at_least = "at least " if _is_cut_off(claim) else ""
        text = "the same" if factor == "1" else f"{at_least}{factor} times {direction}"
    elif claim["unit"] in ("accuracy", "share"):
        name = "points" if claim["unit"] == "accuracy" else "%"
        size, *ends = (_percentage(sign * end) for end in (value, *ends))
        text = "the same" if size == "0.00" else f"{size} {name} {direction}"
    else:
        text, *ends = (f"{end:.2g}" for end in (value, *ends))
    return text, f"[{', '.join(sorted(ends, key=_as_number))}]" if ends else ""


def sentence(claim):
    """One sentence on a claim with an effect: what is compared, the effect, how many seeds."""
    text, interval = parts(claim)
    seeds = "1 seed" if claim["seeds"] == 1 else f"{claim['seeds']} seeds"
    if claim["baseline"] is None:
        arm = naming.plain(claim["arm"])
        return f"The gradient through {arm} is that of Theorem 4.1 within {text}, {seeds}"
    subject = _words(claim)[0].format(arm=naming.plain(claim["arm"]))
    than = "" if claim["baseline"] == "none" else f" than with {naming.plain(claim['baseline'])}"
    if text == "the same":
        than = than.replace(" than ", " as ", 1)
    return f"{' '.join(filter(None, [f'{subject} {text}{than}', interval]))}, {seeds}"


def _words(claim):
    """What is compared, and the words for a positive and for a negative effect."""
    if claim["question"] in _PERFORMANCE:
        classification, regression = _PERFORMANCE[claim["question"]]
        if claim["unit"] == "accuracy":
            return classification, "higher", "lower"
        return regression, "lower", "higher"
    return _WORDS.get(claim["question"], ("", "", ""))


def _is_cut_off(claim):
    """Whether the measure counts no larger ratio than this one."""
    return (
        claim["unit"] == "ln ratio"
        and claim["question"] not in _PERFORMANCE
        and abs(claim["effect"]) >= LARGEST
    )


def _power(base, exponent):
    try:
        return base**exponent
    except OverflowError:
        return math.inf


def _percentage(value):
    """One decimal, two below 1 %."""
    return f"{100 * value:.{1 if abs(value) >= 0.01 else 2}f}"


def _number(value):
    """Two digits, three near 1 and from 100 on, with commas between the thousands."""
    if 0.9 < value < 1.1:
        return f"{value:.3g}"
    if value < 100:
        return f"{value:.2g}"
    return f"{float(f'{value:.3g}'):,.0f}" if value < 1e7 else f"{value:.2g}"


def _as_number(text):
    return float(text.replace(",", ""))
