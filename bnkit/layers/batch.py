"""Which values of a batch its statistics are taken over, and how they are summed up."""

import math

import tensorflow as tf


class Batch:
    """Sums, means and maxima over a batch, one number for each unit.

    Masked positions do not count. Where `synchronized`, the batch is the global one: all replicas
    get the same sums, means and maxima, and every value has the same weight on whichever replica
    it is.

    Args:
        inputs: The activations, of rank >= 2.
        unit_axis: The axis of the units, >= 1; statistics are taken over all others.
        dtype: The type that statistics are calculated in.
        mask: True for the positions that count, or None where all do. It covers the leading axes
            of the inputs, as Keras's masks do: `[batch, time]` for `[batch, time, units]`.
        synchronized: Whether replicas share their statistics.

    Attributes:
        mask: The mask in the shape of the inputs, or None.
        across_replicas: Whether the statistics of this call span several replicas.
        count: How many values a unit has: a number or a scalar, or `[units]` where there is a mask.

    Raises:
        ValueError: For a mask that does not fit the inputs.
    """

    def __init__(self, inputs, unit_axis, dtype, mask=None, synchronized=False):
        rank = len(inputs.shape)
        self._axes = [axis for axis in range(rank) if axis != unit_axis]
        context = tf.distribute.get_replica_context()
        self.across_replicas = (
            synchronized and context is not None and context.num_replicas_in_sync > 1
        )
        self.mask = None if mask is None else in_shape_of(inputs, mask)
        if self.mask is None:
            others = [size for axis, size in enumerate(inputs.shape) if axis != unit_axis]
            if None not in others and not self.across_replicas:
                # A number, where operations would take longer to compile than all the others.
                self.count = tf.as_dtype(dtype).as_numpy_dtype(math.prod(others))
                return
            count = tf.cast(tf.size(inputs) // tf.shape(inputs)[unit_axis], dtype)
        else:
            count = self.sum_on_replica(tf.cast(self.mask, dtype))
        self.count = self.sum_over_replicas(count)

    def counted(self, values):
        """The values, with 0 in place of those that do not count."""
        return values if self.mask is None else tf.where(self.mask, values, 0)

    def sum(self, values):
        """Sum of the values that count, `[units]`."""
        return self.sum_over_replicas(self.sum_on_replica(values))

    def mean(self, values):
        """Mean of the values that count, `[units]`; 0 for a unit of which none does."""
        # Divided when summed: the gradient of a mean divides once for every value.
        if self.mask is None:
            return self.sum(values) / self.count
        return self.sum(values) / tf.maximum(self.count, 1)

    def max(self, magnitudes):
        """Largest of the magnitudes (>= 0) that count, `[units]`; 0 for a unit without any."""
        largest = tf.reduce_max(self.counted(magnitudes), self._axes)
        if self.across_replicas:
            context = tf.distribute.get_replica_context()
            largest = tf.reduce_max(context.all_gather(largest[tf.newaxis], axis=0), 0)
        return largest

    def sum_on_replica(self, values):
        """Sum of this replica's values that count, `[units]`."""
        values = self.counted(values)
        for axis in reversed(self._axes):
            # One axis after the other: a single float32 sum over 1e5 values loses digits.
            values = tf.reduce_sum(values, axis)
        return values

    def where_counted(self, statistic, otherwise):
        """The statistic for units of which a value counts, and `otherwise` for those without."""
        return statistic if self.mask is None else tf.where(self.count > 0, statistic, otherwise)

    def sum_over_replicas(self, values):
        """Sum of what the replicas hold, where they share their statistics; else the values."""
        if not self.across_replicas:
            return values
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def in_shape_of(inputs, mask):
    """The mask as booleans, one for each value of the inputs."""
    mask = tf.cast(mask, tf.bool)
    rank, covered = len(inputs.shape), len(mask.shape)
    fits = 1 <= covered <= rank and all(
        length in (1, None) or size in (length, None)
        for length, size in zip(mask.shape, inputs.shape[:covered], strict=True)
    )
    if not fits:
        raise ValueError(
            "The mask must cover the leading axes of the inputs, such as [batch, time] for "
            f"[batch, time, units]. Received: mask.shape={tuple(mask.shape)}, "
            f"inputs.shape={tuple(inputs.shape)}"
        )
    trailing = tf.ones(rank - covered, tf.int32)
    mask = tf.reshape(mask, tf.concat([tf.shape(mask), trailing], 0))
    return tf.broadcast_to(mask, tf.shape(inputs))
