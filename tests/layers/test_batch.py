"""Sums, means and maxima over the positions that count, against NumPy's masked arrays."""

import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import error

from bnkit.layers.batch import Batch

FLOAT32 = 1e-5

# Shape, axis of the units, shape of the mask (None: no mask).
CASES = {
    "dense": ((16, 5), 1, None),
    "dense masked": ((16, 5), 1, (16,)),
    "sequence": ((6, 7, 5), 2, (6, 7)),
    "sequence, whole samples": ((6, 7, 5), 2, (6,)),
    "sequence, units are time steps": ((6, 7, 5), 1, (6, 7)),
    "sequence, channels first": ((6, 5, 7), 1, (6, 1, 7)),
    "frames of videos": ((4, 3, 2, 2, 5), 4, (4, 3)),
    "image, channels first": ((4, 5, 3, 3), 1, None),
    "every value": ((6, 7, 5), 2, (6, 7, 5)),
}
each_case = pytest.mark.parametrize("shape, axis, mask_shape", CASES.values(), ids=CASES.keys())


def random_batch(shape, mask_shape, seed=0):
    """Values and a mask in which more than half count; what is masked is large."""
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, shape).astype("float32")
    if mask_shape is None:
        return x, None
    mask = rng.uniform(size=mask_shape) < 0.7
    padding = ~np.broadcast_to(mask.reshape(mask_shape + (1,) * (len(shape) - mask.ndim)), shape)
    x[padding] = 1e6
    return x, mask


@each_case
def test_statistics_of_what_counts(shape, axis, mask_shape):
    x, mask = random_batch(shape, mask_shape)
    rows = reference.rows_of(x, axis, mask)
    batch = Batch(tf.constant(x), axis, "float32", mask)
    assert error(batch.sum(x), rows.sum(0).data) < FLOAT32
    assert error(batch.mean(x), rows.mean(0).data) < FLOAT32
    np.testing.assert_array_equal(batch.max(np.abs(x)), np.abs(rows).max(0).data)
    np.testing.assert_array_equal(np.broadcast_to(batch.count, rows.shape[1]), rows.count(0))
    assert np.sum(batch.counted(x) == 0) == rows.mask.sum()


@each_case
def test_two_replicas_count_every_value_once(
    shape, axis, mask_shape, two_replicas, on_two_replicas
):
    """Replicas with different numbers of values that count, some with none: no mean of means."""
    x, mask = random_batch(shape, mask_shape)
    if mask is None:
        mask = np.ones(len(x), bool)
    last = len(x) // 2 - 1
    mask[:last], mask[last] = False, True
    x[last] = 10

    def statistics(x, mask, synchronized):
        batch = Batch(x, axis, "float32", mask, synchronized=synchronized)
        return batch.sum(x), batch.mean(x), batch.max(tf.abs(x))

    for synchronized in (True, False):
        found = on_two_replicas(lambda *args, s=synchronized: statistics(*args, s), x, mask)
        halves = [np.split(x, 2), np.split(mask, 2)]
        shares = [(x, mask)] * 2 if synchronized else zip(*halves, strict=True)
        for (total, mean, largest), share in zip(found, shares, strict=True):
            rows = reference.rows_of(share[0], axis, share[1])
            np.testing.assert_allclose(total, rows.sum(0).filled(0), rtol=FLOAT32)
            np.testing.assert_allclose(mean, rows.mean(0).filled(0), rtol=FLOAT32)
            np.testing.assert_array_equal(largest, np.abs(rows).max(0).filled(0))


def test_units_without_a_value_that_counts():
    """Units are time steps, and the last one is padding in all sequences: its mean is 0."""
    mask = np.array([[True, True, False], [True, False, False]])
    x = np.float32([[[1, 3], [5, 7], [9, 9]], [[5, 7], [9, 9], [9, 9]]])
    batch = Batch(tf.constant(x), 1, "float32", mask)
    np.testing.assert_array_equal(batch.mean(x), [4, 6, 0])
    np.testing.assert_array_equal(batch.max(x), [7, 7, 0])
    np.testing.assert_array_equal(batch.where_counted([1.0, 2, 3], [-1.0, -2, -3]), [1, 2, -3])


def test_nan_in_what_is_masked_stays_out():
    x = tf.constant([[1.0], [float("nan")], [3.0]])
    mask = [True, False, True]
    with tf.GradientTape() as tape:
        tape.watch(x)
        batch = Batch(x, 1, "float32", mask)
        mean = batch.mean(tf.square(batch.counted(x)))
    np.testing.assert_array_equal(mean, [5])
    np.testing.assert_array_equal(tape.gradient(mean, x), [[1], [0], [3]])


@pytest.mark.parametrize("dtype", [bool, "int32", "float32"])
def test_masks_of_other_types(dtype):
    x, mask = random_batch((6, 7, 5), (6, 7))
    batch = Batch(tf.constant(x), 2, "float32", mask.astype(dtype))
    assert error(batch.mean(x), reference.rows_of(x, 2, mask).mean(0).data) < FLOAT32


@pytest.mark.parametrize("shape", [(), (7,), (6, 5), (6, 7, 4), (6, 7, 5, 1)])
def test_masks_that_do_not_fit(shape):
    message = r"leading axes .*\[batch, time\].* inputs\.shape=\(6, 7, 5\)"
    with pytest.raises(ValueError, match=message):
        Batch(tf.zeros((6, 7, 5)), 2, "float32", np.ones(shape, bool))


def test_shapes_that_are_not_known_while_tracing():
    x, mask = random_batch((6, 7, 5), (6, 7))

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, 5)), tf.TensorSpec((None, None), tf.bool)],
        autograph=False,
    )
    def mean(x, mask):
        return Batch(x, 2, "float32", mask).mean(x)

    assert error(mean(x, mask), reference.rows_of(x, 2, mask).mean(0).data) < FLOAT32
