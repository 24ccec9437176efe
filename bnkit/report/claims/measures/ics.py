"""Internal covariate shift, at captures with the same training loss."""

import math

import numpy as np

from bnkit.report.claims.measures.comparable import require_trained
from bnkit.report.claims.measures.ratios import log_ratio
from bnkit.report.statistics.pairing import NotComparable

# Captures are matched if their losses are within this factor, and there must be at least this many.
MATCHED_WITHIN = 1.25
LEAST_MATCHES = 3


def matched_ics(one, other):
    """Mean log ratio of the relative covariate shift at captures with matching loss."""
    first, second = _matched(one, other, "relative")
    return _mean(log_ratio(first, second))


def matched_cosine(one, other):
    """Mean of how much lower the cosine of `one` is than that of `other`, at matching loss."""
    first, second = _matched(one, other, "cosine")
    return _mean(second - first)


def _matched(one, other, quantity):
    """Medians over the layers, at each capture of `one` and at the nearest in loss of `other`.

    The loss is the running mean of the training loss; captures whose nearest one is further away
    than a factor of `MATCHED_WITHIN` are left out.
    """
    require_trained(one)
    require_trained(other)
    first, second = one.ics, other.ics
    layers = set(first["layer"]) & set(second["layer"])
    first, second = (
        table[table["layer"].isin(layers)].groupby("step")[["log_loss", quantity]].median()
        for table in (first, second)
    )
    distance = np.abs(
        first["log_loss"].to_numpy()[:, None] - second["log_loss"].to_numpy()[None, :]
    )
    if not distance.size:
        raise NotComparable(
            "the arms have no layer in common whose inputs can shift", brief="no common layer"
        )
    nearest = distance.argmin(axis=1)
    close = distance.min(axis=1) <= math.log(MATCHED_WITHIN)
    if close.sum() < LEAST_MATCHES:
        raise NotComparable(
            f"fewer than {LEAST_MATCHES} captures have a training loss that the other arm also has",
            brief=f"fewer than {LEAST_MATCHES} captures at a common training loss",
        )
    values = second[quantity].to_numpy()[nearest]
    return first[quantity].to_numpy()[close], values[close]


def _mean(values):
    values = values[~np.isnan(values)]
    if not len(values):
        raise NotComparable(
            "no capture has a finite value in both arms", brief="no finite value in both arms"
        )
    return float(values.mean())
