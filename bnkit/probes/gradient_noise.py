"""The noise of mini-batch gradients: size and shape of their covariance (arXiv 2002.09572)."""

from typing import NamedTuple

import tensorflow as tf

from bnkit.probes import replicas
from bnkit.probes.curvature import eigh, flatten
from bnkit.probes.objective import Objective, read


class GradientNoise(NamedTuple):
    """What `gradient_noise` measures; scalars of the weights' type.

    `C = sum_i (g_i - g)(g_i - g)' / (K - 1)` is the covariance of K mini-batch gradients, g their
    mean.

    Attributes:
        gradient_norm: `||g||`.
        trace: Of C: the mean squared distance of a gradient from the expected one.
        top_eigenvalue: The largest of C.
        share: `top_eigenvalue / trace`, from `1 / (K - 1)` for noise that is equal in all
            directions that K gradients can span, to 1 for noise in a single direction. NaN without
            noise.
        signal_to_noise: `||g||^2 / trace`; inf without noise, NaN if g is 0 as well.
    """

    gradient_norm: tf.Tensor
    trace: tf.Tensor
    top_eigenvalue: tf.Tensor
    share: tf.Tensor
    signal_to_noise: tf.Tensor


def gradient_noise(model, loss_fn, batch, *, parts=8, weights=None, state=None, statistics="batch"):
    """Measures how gradients at `theta` differ between the `parts` of a batch, the mini-batches.

    Batch statistics are those of each mini-batch, and random layers draw the same numbers for all.
    A loss whose `reduction` is "sum" gives gradients of sums over a mini-batch: with b samples in
    each, `trace` and `top_eigenvalue` are b^2 times those of the means; `share` and
    `signal_to_noise` are the same.

    Inside `strategy.run` each replica's share of the batch is split: the k-th mini-batch is made
    of the k-th part on every replica.

    Args:
        model, loss_fn, batch, weights, state, statistics: See `bnkit.probes`.
            All arrays of the batch have the samples on their first axis.
        parts: K, a number >= 2 that divides the number of samples.

    Returns:
        A `GradientNoise`.

    Raises:
        ValueError: For parts that are not valid.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    >>> product = lambda y_true, y_pred: keras.ops.mean(y_true * y_pred)   # gradient: mean of x y
    >>> batch = (np.array([[1.0], [3.0]]), np.ones((2, 1), "float32"))
    >>> [float(value) for value in gradient_noise(model, product, batch, parts=2)]
    [2.0, 2.0, 2.0, 1.0, 2.0]
    """
    if parts < 2:
        raise ValueError(f"`parts` must be >= 2. Received: parts={parts!r}")
    whole = Objective(model, loss_fn, batch, weights, state, statistics)
    # Read here, outside the loop in which every part gets an `Objective` of its own.
    state = read(model.non_trainable_variables) if state is None else state
    split = tf.nest.map_structure(lambda values: _split(values, parts), tuple(batch))

    def gradient(part):
        batch = tf.nest.map_structure(
            lambda values: None if values is None else values[part], split
        )
        objective = Objective(model, loss_fn, batch, whole.weights, state, statistics)
        return (flatten(objective.loss_and_gradient(whole.weights)[1]),)

    dtype = flatten(whole.weights).dtype
    (gradients,) = replicas.in_turn(gradient, tf.range(parts), (dtype,))
    gram = _each(gradients, lambda vector: _inner_products(gradients, vector))
    values = _noise(gram, parts)
    return GradientNoise(*(tf.cast(value, dtype) for value in values))


def _split(values, parts):
    """`[parts, samples / parts, ...]`; None, for an output without labels, as it is."""
    if values is None:
        return None
    values = tf.convert_to_tensor(values)
    samples = values.shape[0] if values.shape.rank else 0
    if samples is not None and (samples == 0 or samples % parts):
        raise ValueError(
            f"`parts` must divide the samples of the batch. Received: parts={parts!r} "
            f"for an array of shape {tuple(values.shape)}"
        )
    return tf.reshape(values, tf.concat([[parts, -1], tf.shape(values)[1:]], 0))


def _inner_products(vectors, vector):
    """Those of each of `[n, length]` with one vector.

    In float64, because small differences between them count.
    """
    vector = tf.cast(vector, tf.float64)
    return _each(vectors, lambda other: tf.tensordot(tf.cast(other, tf.float64), vector, 1))


def _each(vectors, function):
    """`function` of one vector after the other, float64: casting all at once would need memory."""
    return tf.map_fn(function, vectors, fn_output_signature=tf.float64, parallel_iterations=1)


def _noise(gram, parts):
    """The values of a `GradientNoise`, from the inner products of its gradients."""
    signal = tf.reduce_mean(gram)
    # The differences from the first gradient have the same covariance, and with their inner
    # products equal gradients give exactly 0.
    apart = gram - gram[:1] - gram[:, :1] + gram[0, 0]
    means = tf.reduce_mean(apart, 0)
    # This has the eigenvalues of C that are not 0. Rounding may take them below 0.
    centred = (apart - means - means[:, tf.newaxis] + tf.reduce_mean(means)) / (parts - 1)
    trace = tf.maximum(tf.linalg.trace(centred), 0)
    top = tf.maximum(eigh(centred)[0][-1], 0)
    return tf.sqrt(tf.maximum(signal, 0)), trace, top, top / trace, signal / trace
