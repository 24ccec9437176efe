"""Weight normalisation (Salimans and Kingma 2016): of the weights instead of the activations."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="bnkit")
class WeightNorm(keras.layers.Wrapper):
    """Wraps a dense or convolutional layer, and trains `kernel = g v / ||v||`.

    The norm is over all axes of the kernel but the last; v is the wrapped layer's own kernel. g,
    one number per unit, starts at ||v||, so that the layer starts as it would without. Equation 2
    of arXiv 1602.07868.

    Args:
        layer: A Keras layer with a `kernel` whose last axis is that of the units.
    """

    def __init__(self, layer, **kwargs):
        # Keras adds this penalty where a layer is called, and the wrapped one never is.
        kwargs.setdefault("activity_regularizer", layer.activity_regularizer)
        super().__init__(layer, **kwargs)
        self.supports_masking = layer.supports_masking
        if not self.trainable:
            layer.trainable = False

    def build(self, input_shape):
        super().build(input_shape)
        kernel = getattr(self.layer, "kernel", None)
        if kernel is None:
            raise ValueError(f"The layer must have a `kernel`. Received: {self.layer!r}")
        self.g = self.add_weight(
            name="g",
            shape=(kernel.shape[-1],),
            initializer=lambda shape, dtype: tf.cast(_norm(kernel), dtype),
            autocast=False,
        )

    def call(self, inputs):
        # A frozen layer's kernel is among its other variables, and normalised all the same.
        trainable, others = (
            [self._kernel() if v is self.layer.kernel else v.value for v in variables]
            for variables in (self.layer.trainable_variables, self.layer.non_trainable_variables)
        )
        return self.layer.stateless_call(trainable, others, inputs)[0]

    def compute_mask(self, inputs, previous_mask):
        return self.layer.compute_mask(inputs, previous_mask)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def _kernel(self):
        # In the type of the variables, also where the layer's own call would see them rounded.
        v = tf.cast(self.layer.kernel.value, self.g.dtype)
        return v * (self.g.value / _norm(v))


def _norm(kernel):
    value = tf.convert_to_tensor(kernel)
    return tf.sqrt(tf.reduce_sum(tf.square(value), list(range(len(value.shape) - 1))))
