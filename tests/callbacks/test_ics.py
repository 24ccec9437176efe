"""Internal covariate shift, taken while a model trains."""

import keras
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


def test_an_update_that_a_loss_scaled_optimizer_leaves_out_is_not_measured():
    """A shift of 0 would be recorded: the scale is too large at first, and is halved each time."""

    def optimizer():
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), 2.0**127)

    seen = []
    trainer = small.trainer(optimizer=optimizer, loss=small.cross_entropy("sum"))
    batches = small.batches()
    log = callbacks.InternalCovariateShift(every=1)
    weights = callbacks.Weights(every=1)
    for step in range(12):
        before = [v.numpy() for v in trainer.model.trainable_variables]
        trainer.fit(batches, step + 1, [log, weights])
        after = [v.numpy() for v in trainer.model.trainable_variables]
        if not all(map(np.array_equal, before, after)):
            seen.append(step)
    assert 0 not in seen and len(seen) > 2
    assert [r["step"] for r in log.records] == [r["step"] for r in weights.records] == seen


def test_weight_decay_is_that_of_training_without_a_scale():
    """The penalty is scaled with the loss, and scaled back with it."""
    trained = []
    for scaled in (False, True):

        def optimizer(scaled=scaled):
            plain = keras.optimizers.SGD(0.1)
            return keras.optimizers.LossScaleOptimizer(plain, 2.0**10) if scaled else plain

        trainer = small.trainer(optimizer=optimizer, weight_decay=0.5)
        trainer.fit(small.batches(), 3)
        trained.append([v.numpy() for v in trainer.model.trainable_variables])
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
