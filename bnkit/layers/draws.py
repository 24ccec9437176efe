"""The random numbers of Algorithm 1, which XLA makes in few passes over the activations.

TensorFlow's kernels for random numbers take twice the time, and need one more pass for every sum and
product. XLA makes the same numbers with any number of threads.
"""

import numpy as np
import tensorflow as tf

# Of each of the two numbers in a word of 64: as many as float32 holds.
BITS = 24

# Giles (2010), "Approximating the erfinv function", table 5: single precision, for
# w = -ln(1 - x^2) below 5 in powers of w - 2.5, and else in powers of sqrt(w) - 3. Highest first.
_CENTRE = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


@tf.function(jit_compile=True, autograph=False)
def scale_and_shift(seeds, shape, constants):
    """`s_ij` and `m_ij` of Algorithm 1, with a `sigma_j` and a `mu_j` for each unit.

    A word for a value (and one for a unit) gives two numbers, from bits that do not overlap. They
    have 2^24 equidistant levels, and follow from the seeds bit for bit.

    Args:
        seeds: Of the units and of the values, int32 `[2, 2]`.
        shape: Of the values, int32 `[rank]`; the last axis is that of the units.
        constants: n_mu, n_sigma, r_mu and r_sigma, float32 `[4]`.

    Returns:
        `(s, m)`, both float32 of the shape.
    """
    n_mu, n_sigma, r_mu, r_sigma = tf.unstack(constants, num=4)
    first, second = _uniform_pairs(seeds[0], shape[-1:])
    mu, sigma = n_mu * first, 1 + (n_sigma - 1) * (0.5 + 0.5 * second)
    first, second = _uniform_pairs(seeds[1], shape)
    return sigma + r_sigma * normal_quantile(second), mu + r_mu * first


def normal_quantile(x):
    """The standard normal number that a share `(1 + x) / 2` of all lies below.

    For a uniform x it is standard normal: the levels of `scale_and_shift` go from -5.4 to 5.4, and
    one of 17 million values would be further out. In float32 it is right to 5e-7 of itself. Half
    the cost of `tf.math.erfinv`.

    Args:
        x: float32 in (-1, 1).
    """
    w = -tf.math.log((1 - x) * (1 + x))
    centre, tail = _polynomial(_CENTRE, w - 2.5), _polynomial(_TAIL, tf.sqrt(w) - 3)
    return np.float32(np.sqrt(2)) * tf.where(w < 5, centre, tail) * x


def _polynomial(coefficients, x):
    value = tf.constant(coefficients[0], x.dtype)
    for coefficient in coefficients[1:]:
        value = value * x + tf.constant(coefficient, x.dtype)
    return value


def _uniform_pairs(seed, shape):
    """Two independent tensors of the shape, uniform on (-1, 1) and symmetric: never -1, 0 or 1."""
    # The algorithm is named: left to TensorFlow it would depend on the device.
    words = tf.random.stateless_uniform(
        shape, seed, minval=None, maxval=None, dtype=tf.uint64, alg="philox"
    )
    high = tf.bitwise.right_shift(words, tf.constant(64 - BITS, tf.uint64))
    low = tf.bitwise.bitwise_and(words, tf.constant(2**BITS - 1, tf.uint64))
    return _symmetric(high), _symmetric(low)


def _symmetric(level):
    """`(2 level + 1) / 2^BITS - 1`, exactly."""
    odd = 2 * tf.cast(tf.cast(level, tf.int32), tf.float32) + (1 - 2.0**BITS)
    return odd * 2.0**-BITS
