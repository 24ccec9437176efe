"""Rotation of the weights, taken while a model trains."""

import numpy as np
import small

from bnkit import callbacks


def test_weights_are_measured_with_the_real_update_and_learning_rate():
    log = callbacks.Weights(every=4)
    small.trained(5, [log])
    before, after = (
        [
            w.numpy().ravel()
            for w in small.trained(steps).model.trainable_variables
            if len(w.shape) > 1
        ]
        for steps in (4, 5)
    )
    record = log.records[1]
    lengths = [np.linalg.norm(kernel) for kernel in before]
    np.testing.assert_allclose(record["weight_norm"], lengths, rtol=1e-5)
    np.testing.assert_allclose(record["effective_lr"], 0.1 / np.square(lengths), rtol=1e-5)
    angles = [
        np.arccos(a.astype(float) @ b / np.linalg.norm(a.astype(float)) / np.linalg.norm(b))
        for a, b in zip(before, after, strict=True)
    ]
    np.testing.assert_allclose(record["angular_update"], angles, rtol=1e-3)
