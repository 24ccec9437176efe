"""What all normalisations over the batch share: everything but the measure of size."""

import numbers

import keras
import tensorflow as tf

from bnkit.layers import kernels
from bnkit.layers.batch import Batch


class Normalization(keras.layers.Layer):
    """`gamma * (x - mean) / size + beta`, mean and size taken over all axes but one.

    A subclass says how size is measured, in two hooks: `measure_spread`, the statistic that is
    also averaged over time for inference, and `size`, what to divide by, given that statistic.
    `spread_name` names the statistic: its moving average is the attribute `moving_<spread_name>`,
    and its initial value the argument `moving_<spread_name>_initializer`.

    In training mode the statistics are those of the batch. In inference mode they are the moving
    averages `moving = momentum * moving + (1 - momentum) * batch`, updated by training calls. A
    layer with `trainable = False` always runs in inference mode and updates nothing, as
    `keras.layers.BatchNormalization` does.

    With a mask the statistics are those of the unmasked positions; all positions are normalised
    with them. A unit whose values are all masked is normalised with its moving averages, and they
    stay as they are.

    Under a `tf.distribute` strategy each replica normalises with the statistics of its own share
    of the batch, unless `synchronized`: then with those of the global batch, in which every value
    has the same weight. Either way the moving averages are means over the replicas, so that they
    stay equal on all of them.

    Args:
        axis: The axis of the units (channels); statistics are taken over all others.
        momentum: Of the moving averages, in [0, 1].
        epsilon: Added for numerical stability, >= 0; see the subclass for where.
        center: Whether to add a trainable shift, beta.
        scale: Whether to multiply by a trainable scale, gamma.
        beta_initializer, gamma_initializer: Initial shift and scale.
        moving_mean_initializer: Initial moving mean.
        beta_regularizer, gamma_regularizer: Optional regularizers of shift and scale.
        beta_constraint, gamma_constraint: Optional constraints of shift and scale.
        synchronized: Whether replicas share the statistics of the global batch.
        others: `moving_<spread_name>_initializer` (ones by default), and those of `keras.Layer`.

    Input: floats `[batch, ..., units]` of rank >= 2, and optionally `mask`, booleans for the
    leading axes of the input; output: the shape of the input. The statistics and the normalisation
    are calculated in float32, or in float64 where the variables are float64, from inputs that are
    not rounded to a half-precision compute type first. A batch must not be empty, on any replica.
    """

    spread_name = "spread"

    def __init__(
        self,
        axis=-1,
        momentum=0.9,
        epsilon=1e-5,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        synchronized=False,
        **kwargs,
    ):
        moving_spread_initializer = kwargs.pop(f"{self._moving_spread_name}_initializer", "ones")
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, numbers.Integral):
            raise ValueError(f"`axis` must be one integer. Received: axis={axis!r}")
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be in [0, 1]. Received: momentum={momentum!r}")
        if not epsilon >= 0:
            raise ValueError(f"`epsilon` must be >= 0. Received: epsilon={epsilon!r}")
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.moving_mean_initializer = keras.initializers.get(moving_mean_initializer)
        self._moving_spread_initializer = keras.initializers.get(moving_spread_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.synchronized = synchronized
        self.supports_masking = True
        # Inputs that float16 cannot hold must not be cast to it before they are normalised.
        self.autocast = False

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
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={self._unit_axis: units})
        self._broadcast_shape = [units if axis == self._unit_axis else 1 for axis in range(rank)]
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self._add_trainable("gamma", units)
        if self.center:
            self.beta = self._add_trainable("beta", units)
        self.moving_mean = self._add_moving("moving_mean", units, self.moving_mean_initializer)
        name = self._moving_spread_name
        setattr(self, name, self._add_moving(name, units, self._moving_spread_initializer))

    def call(self, inputs, training=False, mask=None):
        if not (training and self.trainable):
            return self.normalize(inputs, *self._moving_statistics())
        batch = Batch(
            inputs, self._unit_axis, self.statistics_dtype, mask, synchronized=self.synchronized
        )
        outputs, mean, spread = self.normalize_batch(inputs, batch=batch)
        self._update(self.moving_mean, mean, batch)
        self._update(self._moving_spread, spread, batch)
        return outputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        functions = {
            "beta_initializer": self.beta_initializer,
            "gamma_initializer": self.gamma_initializer,
            "moving_mean_initializer": self.moving_mean_initializer,
            f"{self._moving_spread_name}_initializer": self._moving_spread_initializer,
            "beta_regularizer": self.beta_regularizer,
            "gamma_regularizer": self.gamma_regularizer,
            "beta_constraint": self.beta_constraint,
            "gamma_constraint": self.gamma_constraint,
        }
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "synchronized": self.synchronized,
            **{
                name: keras.saving.serialize_keras_object(function)
                for name, function in functions.items()
            },
        }

    # The hooks.

    def measure_spread(self, x, mean, batch):
        """The statistic of size over the batch, `[units]`.

        Args:
            x: The activations, with 0 in place of masked ones.
            mean: Their mean, which broadcasts against `x`.
            batch: The `Batch` that takes means over the positions that count.
        """
        raise NotImplementedError

    def size(self, spread):
        """What the centred activations are divided by, `[units]`."""
        raise NotImplementedError

    def normalize_batch(self, inputs, batch):
        """Outputs in training mode, with the mean and spread `[units]` that were used."""
        x = batch.counted(tf.cast(inputs, self.statistics_dtype))
        mean = batch.mean(x)
        spread = self.measure_spread(x, self.broadcast(mean), batch)
        mean, spread = (
            batch.where_counted(statistic, moving)
            for statistic, moving in zip((mean, spread), self._moving_statistics(), strict=True)
        )
        return self.normalize(inputs, mean, spread), mean, spread

    # What the hooks are made of.

    def normalize(self, inputs, mean, spread):
        """`gamma * (inputs - mean) / size(spread) + beta` with the given statistics."""
        factor = 1 / self.size(spread)
        if self.scale:
            factor *= self.value_of(self.gamma)
        # The inputs are centred with a constant, and what the mean adds to the gradient comes with
        # the shift, where it is one number per unit: the kernel has no gradient for the mean, and
        # single ops save a pass over the batch.
        constant = tf.stop_gradient(mean)
        shift = (constant - mean) * factor
        if self.center:
            shift += self.value_of(self.beta)
        if self.takes_kernel(inputs) and kernels.affine_has_gradient():
            outputs = kernels.affine(self.kernel_inputs(inputs), constant, factor, shift)
        else:
            x = tf.cast(inputs, self.statistics_dtype)
            # Centred before it is scaled: with a mean far from zero the other order loses digits.
            outputs = (x - self.broadcast(constant)) * self.broadcast(factor)
            outputs += self.broadcast(shift)
        return tf.cast(outputs, self.compute_dtype)

    def takes_kernel(self, inputs):
        """Whether TensorFlow's batch-norm kernel takes the inputs: images with channels last.

        For dense inputs, which it would take as 1x1 images, single ops are faster.
        """
        is_image = len(inputs.shape) == 4 and self._unit_axis == 3
        return is_image and self.statistics_dtype == "float32"

    def kernel_inputs(self, inputs):
        """The inputs in a type that the kernel takes: half precision as it is, else float32."""
        is_half = inputs.dtype in (tf.float16, tf.bfloat16)
        return inputs if is_half else tf.cast(inputs, tf.float32)

    @property
    def statistics_dtype(self):
        """The type of statistics: that of the variables, and at least float32."""
        return keras.backend.result_type(self.variable_dtype, "float32")

    def value_of(self, variable):
        """The variable's value, in the type of the statistics."""
        return tf.cast(variable.value, self.statistics_dtype)

    def broadcast(self, values):
        """`[units]` shaped to broadcast against the inputs."""
        is_last = self._unit_axis == len(self._broadcast_shape) - 1
        return values if is_last else tf.reshape(values, self._broadcast_shape)

    @property
    def _moving_spread_name(self):
        return f"moving_{self.spread_name}"

    @property
    def _moving_spread(self):
        return getattr(self, self._moving_spread_name)

    def _moving_statistics(self):
        return self.value_of(self.moving_mean), self.value_of(self._moving_spread)

    def _add_trainable(self, name, units):
        return self.add_weight(
            name=name,
            shape=(units,),
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            autocast=False,
        )

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

    def _update(self, moving, statistic, batch):
        before, statistic = self.value_of(moving), tf.stop_gradient(statistic)
        after = before * self.momentum + statistic * (1 - self.momentum)
        moving.assign(batch.where_counted(after, before))
