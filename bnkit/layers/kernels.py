"""TensorFlow's batch-norm kernel for images with channels last, `[batch, height, width, units]`.

One pass over the images where single ops take many. The statistics, gamma and beta are float32
whatever the type of the images.

The kernel's gradients have their own gradients written out, for derivatives of any order:
TensorFlow's take three times as long. Forward mode works eagerly, and where the accumulator is in
the `tf.function` that calls the layer. A `tf.autodiff.ForwardAccumulator` around a `tf.function`
cannot go through nested gradients, and raises an error; TensorFlow's own gradients of the kernel
would leave the derivative out without a word.
"""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled


def affine_has_gradient():
    """Whether TensorFlow has a gradient of `affine`.

    On GPUs it has none that is deterministic, and refuses to calculate one where operations have
    to be (`TF_DETERMINISTIC_OPS=1`, or `tf.config.experimental.enable_op_determinism`). The CPU
    follows the same rule.
    """
    return not is_op_determinism_enabled()


@tf.custom_gradient
def affine(x, mean, factor, shift):
    """`(x - mean) * factor + shift`, by the kernel's inference mode.

    The mean is a constant: there are no derivatives for it.
    """
    outputs = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=factor,
        offset=shift,
        mean=mean,
        variance=tf.ones_like(factor),
        epsilon=0.0,
        is_training=False,
    ).y

    def gradient(upstream):
        for_x, for_factor, for_shift = _affine_gradients(x, mean, factor, upstream)
        return for_x, None, for_factor, for_shift

    return outputs, gradient


@tf.custom_gradient
def _affine_gradients(x, mean, factor, upstream):
    """The gradients of `affine` for x, factor and shift."""
    gradients = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=upstream,
        x=x,
        scale=factor,
        reserve_space_1=mean,
        reserve_space_2=tf.ones_like(factor),
        reserve_space_3=tf.zeros([0]),
        epsilon=0.0,
        is_training=False,
    )[:3]

    def second(u, u_factor, u_shift):
        g, u32 = tf.cast(upstream, tf.float32), tf.cast(u, tf.float32)
        for_upstream = affine(x, mean, u_factor, u_shift)
        for_upstream += tf.cast(u32 * factor, x.dtype)
        return tf.cast(g * u_factor, x.dtype), None, _sum(g * u32), for_upstream

    return tuple(gradients), second


def batch_norm(x, gamma, beta, epsilon):
    """Batch norm in training mode, with the mean and the biased variance that were used.

    There are no derivatives of the mean and the variance.
    """
    gradients = _batch_norm_gradients(epsilon)

    @tf.custom_gradient
    def forward(x, gamma, beta):
        fused = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=gamma,
            offset=beta,
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=epsilon,
            is_training=True,
        )
        variance = _biased(fused.batch_variance, _count(x))
        reserved = fused.reserve_space_1, fused.reserve_space_2, fused.reserve_space_3

        def gradient(upstream, *_):
            return gradients(x, gamma, upstream, fused.batch_mean, variance, *reserved)

        return (fused.y, fused.batch_mean, variance), gradient

    return forward(x, gamma, beta)


def _batch_norm_gradients(epsilon):
    """The function for the gradients of x, gamma and beta; derivatives for x, gamma, upstream.

    With `x_hat = (x - mean) / sigma` and `P` taking the mean off, they are linear in the upstream
    gradient g: `gamma/sigma (P g - x_hat <x_hat, g>/n)` for x, `<x_hat, g>` and `sum g`. What comes
    in from above is u for the first, and one number per unit for the others. The derivatives follow
    from `d x_hat = (P dx - x_hat <x_hat, dx>/n) / sigma` and `d sigma = <x_hat, dx>/n`.
    """

    @tf.custom_gradient
    def gradients(x, gamma, upstream, mean, variance, *reserved):
        found = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=upstream,
            x=x,
            scale=gamma,
            reserve_space_1=reserved[0],
            reserve_space_2=reserved[1],
            reserve_space_3=reserved[2],
            epsilon=epsilon,
            is_training=True,
        )[:3]

        def second(u, u_gamma, u_beta):
            along, total = found[1:]
            # The first derivative for x is its own transpose.
            for_upstream, u_along, u_total = gradients(x, gamma, u, mean, variance, *reserved)
            count, inverse = _count(x), tf.math.rsqrt(variance + epsilon)
            g, u32 = tf.cast(upstream, tf.float32), tf.cast(u, tf.float32)
            product = _sum(g * u32) - total * u_total / count
            curved = -gamma * tf.square(inverse) / count
            of_g = curved * u_along + u_gamma * inverse
            of_u = curved * along
            of_x_hat = curved * (product - 3 * along * u_along / count)
            of_x_hat -= u_gamma * inverse * along / count
            shift = -(of_g * total + of_u * u_total) / count
            for_x = tf.cast(affine(x, mean, of_x_hat * inverse, shift), tf.float32)
            for_x += g * of_g + u32 * of_u
            for_gamma = inverse * (product - along * u_along / count)
            for_upstream += affine(x, mean, u_gamma * inverse, u_beta)
            return tf.cast(for_x, x.dtype), for_gamma, for_upstream, *[None] * (2 + len(reserved))

        return tuple(found), second

    return gradients


def _count(x):
    """How many values each unit has; a number where that is known before there are values."""
    sizes = x.shape[:3]
    if sizes.is_fully_defined():
        return np.float32(sizes.num_elements())
    return tf.cast(tf.reduce_prod(tf.shape(x)[:3]), tf.float32)


def _biased(variance, count):
    """The variance divided by n, of one that was divided by n - 1, or by 1 for a single value."""
    maximum = np.maximum if isinstance(count, np.floating) else tf.maximum
    return variance * (maximum(count - 1, 1) / count)


def _sum(images):
    return tf.reduce_sum(tf.reduce_sum(images, [1, 2]), 0)
