"""What all normalisations over the batch share: everything but the measure of size."""

import keras
import tensorflow as tf

from bnkit.layers import kernels


class Normalization(keras.layers.Layer):
    """`gamma * (x - mean) / size + beta`, mean and size taken over all axes but one.

    A subclass says how size is measured, in two hooks: `measure_spread`, the statistic that is
    also averaged over time for inference, and `size`, what to divide by, given that statistic.

    In training mode the statistics are those of the batch. In inference mode they are the moving
    averages `moving = momentum * moving + (1 - momentum) * batch`, updated by training calls.

    Under a `tf.distribute` strategy each replica normalises with the statistics of its own share
    of the batch, unless `synchronized`: then with those of the global batch (shares must be of
    equal size). Either way the moving averages are means over the replicas, so that they stay
    equal on all of them.

    Args:
        axis: The axis of the units (channels); statistics are taken over all others.
        momentum: Of the moving averages, in [0, 1].
        epsilon: Added for numerical stability, >= 0; see the subclass for where.
        center: Whether to add a trainable shift, beta.
        scale: Whether to multiply by a trainable scale, gamma.
        synchronized: Whether replicas share the statistics of the global batch.

    Input: floats `[batch, ..., units]` of rank >= 2; output: the same shape. With a half-precision
    compute type the statistics and the normalisation are calculated in float32. A batch must not
    be empty, on any replica.
    """

    spread_name = "spread"

    def __init__(
        self,
        axis=-1,
        momentum=0.9,
        epsilon=1e-5,
        center=True,
        scale=True,
        synchronized=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(f"`axis` must be one integer. Received: axis={axis!r}")
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be in [0, 1]. Received: momentum={momentum!r}")
        if not epsilon >= 0:
            raise ValueError(f"`epsilon` must be >= 0. Received: epsilon={epsilon!r}")
        self.axis = axis
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.synchronized = synchronized

    def build(self, input_shape):
        rank = len(input_shape)
        if rank < 2 or not -rank <= self.axis < rank or self.axis % rank == 0:
            raise ValueError(
                "The input must have a batch axis and, elsewhere, the axis of the units. "
                f"Received: input_shape={tuple(input_shape)}, axis={self.axis}"
            )
        self._unit_axis = self.axis % rank
        units = input_shape[self._unit_axis]
        if units is None:
            raise ValueError(
                "The axis of the units must have a known length. "
                f"Received: input_shape={tuple(input_shape)}, axis={self.axis}"
            )
        self._batch_axes = [axis for axis in range(rank) if axis != self._unit_axis]
        self._broadcast_shape = [units if axis == self._unit_axis else 1 for axis in range(rank)]
        self.gamma = self._add_trainable("gamma", units, "ones") if self.scale else None
        self.beta = self._add_trainable("beta", units, "zeros") if self.center else None
        self.moving_mean = self._add_moving("moving_mean", units, "zeros")
        self.moving_spread = self._add_moving(f"moving_{self.spread_name}", units, "ones")

    def call(self, inputs, training=False):
        if not training:
            return self.normalize(inputs, self.moving_mean.value, self.moving_spread.value)
        outputs, mean, spread = self.normalize_batch(inputs)
        self._update(self.moving_mean, mean)
        self._update(self.moving_spread, spread)
        return outputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "synchronized": self.synchronized,
        }

    # The hooks.

    def measure_spread(self, x, mean):
        """The statistic of size over the batch, `[units]`; `mean` broadcasts against `x`."""
        raise NotImplementedError

    def size(self, spread):
        """What the centred activations are divided by, `[units]`."""
        raise NotImplementedError

    def normalize_batch(self, inputs):
        """Outputs in training mode, with the mean and spread `[units]` that were used."""
        x = tf.cast(inputs, self.variable_dtype)
        mean = self.batch_mean(x)
        spread = self.measure_spread(x, self.broadcast(mean))
        return self.normalize(x, mean, spread), mean, spread

    # What the hooks are made of.

    def normalize(self, inputs, mean, spread):
        """`gamma * (inputs - mean) / size(spread) + beta` with the given statistics."""
        factor = 1 / self.size(spread)
        if self.scale:
            factor *= self.gamma.value
        # The inputs are centred with a constant, and what the mean adds to the gradient comes with
        # the shift, where it is one number per unit: the kernel has no gradient for the mean, and
        # single ops save a pass over the batch.
        constant = tf.stop_gradient(mean)
        shift = (constant - mean) * factor
        if self.center:
            shift += self.beta.value
        if self.takes_kernel(inputs):
            return kernels.affine(tf.cast(inputs, self.compute_dtype), constant, factor, shift)
        x = tf.cast(inputs, self.variable_dtype)
        # Centred before it is scaled: with a mean far from zero the other order loses digits.
        outputs = (x - self.broadcast(constant)) * self.broadcast(factor) + self.broadcast(shift)
        return tf.cast(outputs, self.compute_dtype)

    def takes_kernel(self, inputs):
        """Whether TensorFlow's batch-norm kernel takes the inputs: images with channels last.

        For dense inputs, which it would take as 1x1 images, single ops are faster.
        """
        is_image = len(inputs.shape) == 4 and self._unit_axis == 3
        return is_image and self.variable_dtype == "float32"

    def batch_mean(self, values):
        """Mean over the batch, `[units]`; over the global batch where synchronized."""
        total = self._sum(values)
        # Divided when summed: the gradient of a mean divides once for every value.
        mean = total / tf.cast(tf.size(values) // tf.size(total), total.dtype)
        return self._reduce_replicas(tf.distribute.ReduceOp.MEAN, mean)

    def batch_sum(self, values):
        """Sum over the batch, `[units]`; over the global batch where synchronized."""
        return self.sum_over_replicas(self._sum(values))

    def sum_over_replicas(self, values):
        """Sum of the replicas' values where synchronized; else the values."""
        return self._reduce_replicas(tf.distribute.ReduceOp.SUM, values)

    def batch_max(self, values):
        """Maximum over the batch, `[units]`, a constant; as the mean where synchronized."""
        largest = tf.reduce_max(values, self._batch_axes)
        if self.across_replicas():
            context = tf.distribute.get_replica_context()
            largest = tf.reduce_max(context.all_gather(largest[tf.newaxis], axis=0), 0)
        return tf.stop_gradient(largest)

    def broadcast(self, values):
        """`[units]` shaped to broadcast against the inputs."""
        is_last = self._unit_axis == len(self._batch_axes)
        return values if is_last else tf.reshape(values, self._broadcast_shape)

    def across_replicas(self):
        """Whether the statistics of this call span several replicas."""
        context = tf.distribute.get_replica_context()
        return self.synchronized and context is not None and context.num_replicas_in_sync > 1

    def _sum(self, values):
        for axis in reversed(self._batch_axes):
            # One axis after the other: a single float32 sum over 1e5 values loses digits.
            values = tf.reduce_sum(values, axis)
        return values

    def _reduce_replicas(self, operation, values):
        if not self.across_replicas():
            return values
        return tf.distribute.get_replica_context().all_reduce(operation, values)

    def _add_trainable(self, name, units, initializer):
        return self.add_weight(name=name, shape=(units,), initializer=initializer, autocast=False)

    def _add_moving(self, name, units, initializer):
        return self.add_weight(
            name=name,
            shape=(units,),
            initializer=initializer,
            trainable=False,
            autocast=False,
            # The policy under replicas; the default leaves them to drift apart.
            aggregation="mean",
        )

    def _update(self, moving, batch):
        batch = tf.stop_gradient(batch)
        moving.assign(moving.value * self.momentum + batch * (1 - self.momentum))
