"""The smoothness of a step of which several directions were measured."""

import numpy as np


def largest_smoothness(landscape):
    """One row per run and probed step: the one of the direction with the largest `smoothness`.

    Smoothness that is NaN because a gradient is NaN counts as unbounded.
    """
    lost = landscape["smoothness"].isna() & landscape["gradient_distance"].isna()
    values = landscape.assign(smoothness=landscape["smoothness"].mask(lost, np.inf))
    ordered = values.sort_values("smoothness", ascending=False, kind="stable")
    return ordered.drop_duplicates(ordered.columns.intersection(["study", "run", "step"]))
