"""Curvature, taken while a model trains."""

import numpy as np
import small

from bnkit import callbacks


def test_curvature_knows_how_far_the_edge_of_stability_is():
    log = callbacks.Curvature(every=4, products=3)
    small.trained(1, [log])
    (record,) = log.records
    expected = 0.1 * record["top_eigenvalue"] / 2
    np.testing.assert_allclose(record["edge_of_stability"], expected, rtol=1e-6)
