"""TensorFlow's batch-norm kernel for images with channels last, `[batch, height, width, units]`.

One pass over the images where single ops take many. The statistics, gamma and beta are float32
whatever the type of the images.
"""

import tensorflow as tf


def affine(x, mean, factor, shift):
    """`(x - mean) * factor + shift`, by the kernel's inference mode.

    It has no gradient for the mean.
    """
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=factor,
        offset=shift,
        mean=mean,
        variance=tf.ones_like(factor),
        epsilon=0.0,
        is_training=False,
    ).y


def batch_norm(x, gamma, beta, epsilon):
    """Batch norm in training mode, with the mean and the biased variance that were used.

    Its second derivatives are written out: TensorFlow's own, in single ops, take three times as
    long. There are no derivatives of the mean and the variance.
    """
    # The kernel divides its variance by n - 1 (by 1 for a single value).
    count = tf.cast(tf.size(x) // tf.size(gamma), tf.float32)
    to_biased = tf.maximum(count - 1, 1) / count

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
        mean, variance = fused.batch_mean, fused.batch_variance * to_biased

        def kernel(upstream):
            """The gradients for x, gamma and beta, linear in `upstream`."""
            return tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=x,
                scale=gamma,
                reserve_space_1=fused.reserve_space_1,
                reserve_space_2=fused.reserve_space_2,
                reserve_space_3=fused.reserve_space_3,
                epsilon=epsilon,
                is_training=True,
            )[:3]

        def gradient(upstream, *_):
            return _backward(kernel, x, gamma, upstream, mean, variance + epsilon, count)

        return (fused.y, mean, variance), gradient

    return forward(x, gamma, beta)


def _backward(kernel, x, gamma, upstream, mean, squared_sigma, count):
    """The gradients for x, gamma and beta, which can be differentiated for x, gamma, upstream.

    With `x_hat = (x - mean) / sigma` and `P` taking the mean off, they are linear in the upstream
    gradient g: `gamma/sigma (P g - x_hat <x_hat, g>/n)` for x, `<x_hat, g>` and `sum g`. What comes
    in from above is u for the first, and one number per unit for the others. The derivatives follow
    from `d x_hat = (P dx - x_hat <x_hat, dx>/n) / sigma` and `d sigma = <x_hat, dx>/n`.
    """

    @tf.custom_gradient
    def backward(x, gamma, upstream):
        gradients = kernel(upstream)

        def second(u, u_gamma, u_beta):
            along, total = gradients[1:]
            # The first derivative for x is its own transpose.
            for_upstream, u_along, u_total = kernel(u)
            inverse = tf.math.rsqrt(squared_sigma)
            g, u32 = tf.cast(upstream, tf.float32), tf.cast(u, tf.float32)
            product = tf.reduce_sum(tf.reduce_sum(g * u32, [1, 2]), 0) - total * u_total / count
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
            return tf.cast(for_x, x.dtype), for_gamma, for_upstream

        return tuple(gradients), second

    return backward(x, gamma, upstream)
