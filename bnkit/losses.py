"""Losses that Keras does not have."""

from bnkit import backend

backend.require_tensorflow()
backend.choose_kernels()

import keras  # noqa: E402  not before the backend is known to be right


@keras.saving.register_keras_serializable(package="bnkit")
class HalfSquaredError(keras.losses.Loss):
    """`0.5 * sum (y_true - y_pred)^2` over samples and outputs, for the deep linear network.

    It is a sum, as its `reduction` says: the losses of the replicas add up to that of the batch.

    Input: two float arrays `[batch, outputs]`; output: a scalar.

    Raises:
        ValueError: If their shapes differ.
    """

    def __init__(self, reduction="sum", name="half_squared_error", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        y_true, y_pred = map(keras.ops.convert_to_tensor, (y_true, y_pred))
        if len(y_true.shape) != len(y_pred.shape) or y_true.shape[1:] != y_pred.shape[1:]:
            raise ValueError(
                "`y_true` and `y_pred` must have one shape. "
                f"Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}"
            )
        return 0.5 * keras.ops.sum(keras.ops.square(y_true - y_pred), axis=-1)
