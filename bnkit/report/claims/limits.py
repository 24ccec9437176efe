"""From where on a claim is supported, and from where on it is contradicted."""

import dataclasses
import math

# "About as well": five points of accuracy are far below what separates an arm that trains from one
# that does not, and above what seeds differ by; deep linear networks that the study calls
# comparable end within a factor of two of BN's loss (its Fig 5b).
ACCURACY_MARGIN = 0.05
LOSS_MARGIN = math.log(2)
# "Similar or larger": covariate shift counts as reduced from a fifth on, or 0.05 in the cosine.
ICS_MARGIN = math.log(1.25)
COSINE_MARGIN = 0.05
# "Stops training": hardly any of the progress is left; not stopped: half of it is.
STOPPED, NOT_STOPPED = 0.95, 0.5
# Rounding of float32, summed over a batch: far below 1, and what a missing term would come to.
TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Limits:
    """Supported: the interval is above `above`; contradicted: it is below `below`."""

    above: float = 0.0
    below: float = 0.0


ABOVE_ZERO = Limits()


def as_well(is_regression):
    """Limits of a difference in performance for "about as well"."""
    margin = LOSS_MARGIN if is_regression else ACCURACY_MARGIN
    return Limits(-margin, -margin)
