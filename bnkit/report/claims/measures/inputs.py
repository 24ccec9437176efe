"""How far the inputs of the non-linearities shift from one capture to the next."""

from bnkit.report.claims.measures.comparable import common_captures, require_trained
from bnkit.report.claims.measures.ratios import median_log_ratio


def mean_change(one, other):
    """Median log ratio, over the captures, of the units' median change of the mean."""
    return _change(one, other, "mean")


def variance_change(one, other):
    """The same of the change of the variance."""
    return _change(one, other, "variance")


def relative_change(one, other):
    """The same of both changes together, relative to deviation and variance."""
    return _change(one, other, "relative")


def _change(one, other, quantity):
    for trace in (one, other):
        require_trained(trace, "inputs hardly move where nothing is learned")
    first, second = one.activations, other.activations
    layers = set(first["layer"]) & set(second["layer"])
    series = [
        table[table["layer"].isin(layers)].groupby("step")[quantity].median().dropna()
        for table in (first, second)
    ]
    return median_log_ratio(*common_captures(*series))
