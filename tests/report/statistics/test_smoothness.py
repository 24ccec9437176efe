"""The smoothness of a step of which several directions were measured."""

import math

import numpy as np
import pandas as pd

from bnkit.report.statistics.smoothness import largest_smoothness


def test_the_direction_with_the_largest_smoothness_is_taken_and_a_lost_one_is_the_largest():
    frame = pd.DataFrame(
        {
            "study": "s",
            "run": "r",
            "step": [0, 0, 25, 25, 50],
            "direction": [0, 1, 0, 1, 0],
            "smoothness": [3.0, 5.0, 4.0, np.nan, np.nan],
            # NaN with a finite distance is 0 / 0: a gradient of norm 0.
            "gradient_distance": [1.0, 1.0, 1.0, np.nan, 1.0],
        }
    )
    found = largest_smoothness(frame).set_index("step").sort_index()
    assert list(found["direction"]) == [1, 1, 0]
    assert list(found["smoothness"])[:2] == [5.0, math.inf]
    assert math.isnan(found["smoothness"][50])
