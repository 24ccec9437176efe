"""Theorem 4.1 at every batch normalisation, taken while a model trains."""

import keras
import numpy as np
import pytest
import small

from bnkit import callbacks, layers, probes


def test_it_is_the_probe_at_the_weights_of_the_step():
    watcher = callbacks.BatchNormIdentity(every=4)
    small.trained(5, [watcher])
    by_hand = small.trained(4)
    x, y = by_hand.batch()
    batch = small.prepare(x), y
    expected = probes.batch_norm_identity(by_hand.model, small.cross_entropy(), batch)
    record = watcher.records[1]
    assert (record["step"], record["kind"]) == (4, "batch_norm_identity")
    # Keras numbers the layers of a process.
    assert [name.rpartition("_")[0] for name in record["layers"]] == ["batch_norm"] * 2
    for name in ("left", "right", "gradient_ratio"):
        np.testing.assert_allclose(record[name], getattr(expected, name).numpy(), rtol=1e-4)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (None, False),
        (layers.BatchNorm, True),
        (layers.NoisyBatchNorm, True),
        (keras.layers.BatchNormalization, True),
        (layers.LayerNorm, False),
    ],
)
def test_it_applies_where_there_is_a_batch_norm(norm, expected):
    assert callbacks.BatchNormIdentity.applies_to(small.model(norm)) is expected
