"""Verdicts on Theorem 4.1."""

import made_up
import pytest
from asked import verdict

from bnkit.report.claims.measures import batch_norm_identity
from bnkit.report.statistics.pairing import NotComparable

SEEDS = made_up.SEEDS


def _trace(*differences, precision="float32", **settings):
    records = made_up.batch_norm_identity(*differences)
    return made_up.trace("bn", 0, records, precision=precision, **settings)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ((1e-6, 2e-6, 5e-3), "supported"),
        ((0.3, 0.4, 0.5), "contradicted"),
        ((1e-6, 2e-6, 0.5), "inconclusive"),  # the median does not agree
    ],
)
def test_the_theorem_holds_where_the_largest_difference_is_rounding(differences, expected):
    runs = [made_up.run("bn", seed, made_up.batch_norm_identity(*differences)) for seed in SEEDS]
    claim = verdict(runs, "theorem-4.1")
    assert claim.verdict == expected and claim.arms == ("bn",) and claim.interval is None
    assert claim.effect == max(differences) and claim.seeds == 3


def test_the_theorem_has_to_hold_at_every_seed():
    runs = [
        made_up.run("bn", seed, made_up.batch_norm_identity(0.5 if seed == 1 else 1e-6))
        for seed in SEEDS
    ]
    claim = verdict(runs, "theorem-4.1")
    assert claim.verdict == "inconclusive" and claim.effect == 0.5
    assert verdict(runs[:1], "theorem-4.1").verdict == "inconclusive"


def test_largest_and_median():
    one = _trace(1e-6, 2e-6, 0.5)
    assert batch_norm_identity.largest_batch_norm_identity_error(one) == 0.5
    assert batch_norm_identity.median_batch_norm_identity_error(one) == 2e-6


def test_differences_that_are_not_finite_and_other_precisions():
    with pytest.raises(NotComparable, match="norm=bn are not finite"):
        batch_norm_identity.largest_batch_norm_identity_error(_trace(1e-6, "inf"))
    with pytest.raises(NotComparable, match="not of bfloat16"):
        batch_norm_identity.largest_batch_norm_identity_error(_trace(1e-6, precision="bfloat16"))
    measured = _trace(1e-6, precision="bfloat16", probe_precision="float32")
    assert batch_norm_identity.largest_batch_norm_identity_error(measured) == 1e-6
