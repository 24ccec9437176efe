"""Gradient noise, taken while a model trains."""

import numpy as np
import small

from bnkit import callbacks
from bnkit.probes.objective import Objective


def test_gradient_noise_is_that_of_the_batches_to_come():
    """Against the gradient of each batch by itself."""
    log = callbacks.GradientNoise(every=4, batches=3)
    small.trained(5, [log])
    by_hand = small.trained(4)
    gradients = []
    for step in range(4, 7):
        x, y = (stack[0] for stack in small.batches().stack(step, step + 1))
        batch = small.prepare(x), y
        objective = Objective(by_hand.model, small.cross_entropy(), batch)
        pieces = objective.loss_and_gradient(objective.weights)[1]
        gradients.append(np.concatenate([piece.numpy().ravel() for piece in pieces]))
    gradients = np.array(gradients, dtype=float)
    record = log.records[1]
    assert (record["step"], record["batches"]) == (4, 3)
    np.testing.assert_allclose(record["trace"], gradients.var(0, ddof=1).sum(), rtol=1e-4)
    mean = np.linalg.norm(gradients.mean(0))
    np.testing.assert_allclose(record["gradient_norm"], mean, rtol=1e-4)
