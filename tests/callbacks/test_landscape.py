"""The landscape along the gradient, taken while a model trains."""

import numpy as np
import small

from bnkit import callbacks


def test_the_landscape_is_that_of_the_step_on_its_own_batch():
    """Its loss is the training loss of the same step: same weights, batch and dropout mask."""
    losses, log = {}, callbacks.Landscape([0.1], every=4)
    metrics = callbacks.TrainingMetrics(lambda record: losses.update({record["step"]: record}))
    small.trained(watchers=[log, metrics])
    assert [record["step"] for record in log.records] == [0, 4, 8]
    for record in log.records:
        assert record["kind"] == "landscape" and record["step_sizes"] == [0.1]
        np.testing.assert_allclose(record["loss"], losses[record["step"]]["loss"], rtol=1e-6)
