"""Internal covariate shift, taken while a model trains."""

import numpy as np
import small

from bnkit import callbacks, probes


def test_covariate_shift_is_measured_with_the_real_update():
    """Against the probe called by hand with the weights before and after the step."""
    log = callbacks.InternalCovariateShift(every=4)
    small.trained(5, [log])
    by_hand = small.trained(4)
    before = [v.numpy() for v in by_hand.model.trainable_variables]
    state = [v.numpy() for v in by_hand.model.non_trainable_variables]
    x, y = by_hand.batch()
    by_hand.fit(small.batches(), 5)
    expected = probes.internal_covariate_shift(
        by_hand.model,
        small.cross_entropy(),
        (small.prepare(x), y),
        by_hand.model.trainable_variables,
        weights=before,
        state=state,
    )
    record = log.records[1]
    assert (record["step"], record["kind"]) == (4, "ics")
    assert tuple(record["layers"]) == expected.layers == ("conv1", "dense2", "logits")
    assert record["l2"][0] == 0 and all(value > 0 for value in record["l2"][1:])
    for name in ("l2", "cosine", "gradient_norm"):
        np.testing.assert_allclose(record[name], getattr(expected, name).numpy(), rtol=1e-4)
