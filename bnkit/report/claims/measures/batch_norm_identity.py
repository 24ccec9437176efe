"""Whether the two sides of Theorem 4.1 are equal."""

import numpy as np

from bnkit.report.statistics.pairing import NotComparable


def largest_batch_norm_identity_error(one):
    """Largest relative difference of the two sides of Theorem 4.1; all must be finite."""
    settings = one.run.settings
    precision = settings.get("precision", "float32")
    if settings.get("probe_precision", "training") != "training":
        precision = settings["probe_precision"]
    if precision != "float32":
        raise NotComparable(f"the tolerance is that of float32, and not of {precision}")
    values = one.batch_norm_identity
    if not np.isfinite(values).all():
        raise NotComparable(
            f"relative differences of norm={one.norm} are not finite",
            brief="has differences that are not finite",
            norm=one.norm,
        )
    return float(values.max())


def median_batch_norm_identity_error(one):
    """Median relative difference of the two sides of Theorem 4.1."""
    return float(one.batch_norm_identity.median())
