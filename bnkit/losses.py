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


@keras.saving.register_keras_serializable(package="bnkit")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits with smoothed labels (Szegedy et al. 2016, section 7).

    The target is `1 - share` for the label's class, and `share / classes` more for every class.

    Args:
        share: Of each target that is spread evenly over all classes, in [0, 1).

    Input: labels, integers `[batch]`, and logits `[batch, classes]`; output: a scalar.
    """

    def __init__(self, share, name="smoothed_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.share = share

    def call(self, y_true, y_pred):
        of_label = keras.ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        normalizer = keras.ops.logsumexp(y_pred, axis=-1)
        of_all = normalizer - keras.ops.mean(y_pred, axis=-1)
        return (1 - self.share) * of_label + self.share * of_all

    def get_config(self):
        return {**super().get_config(), "share": self.share}
