"""The noise of mini-batch gradients: size and shape of their covariance (arXiv 2002.09572)."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

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
        share: `top_eigenvalue / trace`, from `1 / (K - 1)` for noise alike in all directions that
            K gradients can show, to 1 for noise in one. nan without noise.
        signal_to_noise: `||g||^2 / trace`; inf without noise, nan where g vanishes as well.
    """

    gradient_norm: tf.Tensor
    trace: tf.Tensor
    top_eigenvalue: tf.Tensor
    share: tf.Tensor
    signal_to_noise: tf.Tensor


def gradient_noise(model, loss_fn, batch, *, parts=8, held=None, weights=None, state=None):
    """Measures how gradients differ between mini-batches, the `parts` of a batch, at `theta`.

    Batch statistics are those of each mini-batch, and random layers draw the same numbers for all.
    A loss whose `reduction` is "sum" gives gradients of sums over a mini-batch: with b samples in
    each, `trace` is b^2 times that of their means, while `share` and `signal_to_noise` are theirs.

    Inside `strategy.run` each replica's share of the batch is split: the k-th mini-batch is made
    of the k-th part on every replica.

    Args:
        model: A built `keras.Model`; its weights and state stay as they are.
        loss_fn: `loss_fn(y_true, y_pred)`, the scalar loss of a batch, without weight decay.
        batch: `(x, y)`, arrays or structures of them, all with the samples on the first axis.
        parts: K, a number >= 2 that divides the samples: mini-batches are equal in size.
        held: How many gradients to keep in memory at a time, besides those at work; all K by
            default. Fewer cost more: with `n = ceil(K / held)` there are
            `n K - held n (n - 1) / 2` gradients to compute instead of K; `K (K + 1) / 2` with 1.
        weights: `theta`, aligned with `model.trainable_variables`; the model's own by default.
        state: Aligned with `model.non_trainable_variables`; the model's own by default.

    Returns:
        A `GradientNoise`.

    Raises:
        ValueError: for parts or a number held that are not valid, or an unbuilt model.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    >>> product = lambda y_true, y_pred: keras.ops.mean(y_true * y_pred)   # gradient: mean of x y
    >>> batch = (np.array([[1.0], [3.0]]), np.ones((2, 1)))
    >>> [float(value) for value in gradient_noise(model, product, batch, parts=2)]
    [2.0, 2.0, 2.0, 1.0, 2.0]
    """
    if parts < 2:
        raise ValueError(f"`parts` must be >= 2. Received: parts={parts!r}")
    held = parts if held is None else held
    if not 1 <= held <= parts:
        raise ValueError(
            f"`held` must be from 1 to the number of parts, {parts}. Received: held={held!r}"
        )
    whole = Objective(model, loss_fn, batch, weights, state)
    # Read here: `Objective` is made anew for every part, within a loop.
    state = read(model.non_trainable_variables) if state is None else state
    split = tf.nest.map_structure(lambda values: _split(values, parts), tuple(batch))

    def gradient(part):
        batch = tf.nest.map_structure(lambda values: values[part], split)
        objective = Objective(model, loss_fn, batch, whole.weights, state)
        return flatten(objective.loss_and_gradient(whole.weights)[1])

    gram = _gram(gradient, flatten(whole.weights), parts, held, unrolled=whole.replicas > 1)
    values = _noise(gram, parts)
    dtype = flatten(whole.weights).dtype
    return GradientNoise(*(tf.cast(value, dtype) for value in values))


def _split(values, parts):
    """`[parts, samples / parts, ...]`."""
    values = tf.convert_to_tensor(values)
    samples = values.shape[0] if values.shape.rank else 0
    if samples is not None and (samples == 0 or samples % parts):
        raise ValueError(
            f"`parts` must divide the samples of the batch. Received: parts={parts!r} "
            f"for an array of shape {tuple(values.shape)}"
        )
    return tf.reshape(values, tf.concat([[parts, -1], tf.shape(values)[1:]], 0))


def _gram(gradient, like, parts, held, unrolled):
    """The inner products of all gradients, `[parts, parts]`, float64.

    Block after block of `held` gradients is kept, and all from there on are computed against it.
    In float64, because small differences of large gradients are taken from it.
    """
    plan = [(first, part) for first in range(0, parts, held) for part in range(first, parts)]
    slots = [part - first for first, part in plan]
    rows = tf.zeros([len(plan), held], tf.float64)
    kept = tf.zeros([held, *like.shape], like.dtype)

    def step(turn, kept, rows):
        vector = gradient(tf.gather([part for _, part in plan], turn))
        slot = tf.gather(slots, turn)
        kept = tf.cond(
            slot < held,
            lambda: tf.tensor_scatter_nd_update(kept, [[slot]], vector[tf.newaxis]),
            lambda: kept,
        )
        row = _inner_products(kept, vector)
        return turn + 1, kept, tf.tensor_scatter_nd_update(rows, [[turn]], row[tf.newaxis])

    values = tf.constant(0), kept, rows
    if unrolled:
        # Replicas exchange values in it, which does not work in a loop of the graph.
        for _ in plan:
            # One after the other: they would run, and take memory, all at once.
            with tf.control_dependencies(values):
                values = step(*values)
    else:
        values = tf.while_loop(
            lambda turn, *_: turn < len(plan), step, values, parallel_iterations=1
        )
    # Where the product of gradients i <= k is: in the turn of k while i was kept.
    where = np.zeros((parts, parts, 2), np.int32)
    for turn, (first, part) in enumerate(plan):
        for slot in range(min(held, part - first + 1)):
            where[first + slot, part] = where[part, first + slot] = turn, slot
    return tf.gather_nd(values[2], where)


def _inner_products(vectors, vector):
    """Of each of `[n, length]` with one, float64: one at a time, for the memory of the cast."""
    vector = tf.cast(vector, tf.float64)
    return tf.map_fn(
        lambda other: tf.tensordot(tf.cast(other, tf.float64), vector, 1),
        vectors,
        fn_output_signature=tf.float64,
        parallel_iterations=1,
    )


def _noise(gram, parts):
    """The values of a `GradientNoise`, from the inner products of its gradients."""
    signal = tf.reduce_mean(gram)
    # The covariance is that of the distances from the first gradient, too. With their inner
    # products, equal gradients give exactly 0.
    apart = gram - gram[:1] - gram[:, :1] + gram[0, 0]
    means = tf.reduce_mean(apart, 0)
    # What is not 0 in C are the eigenvalues of this. Rounding may take them below 0.
    centred = (apart - means - means[:, tf.newaxis] + tf.reduce_mean(means)) / (parts - 1)
    trace = tf.maximum(tf.linalg.trace(centred), 0)
    top = tf.maximum(eigh(centred)[0][-1], 0)
    return tf.sqrt(tf.maximum(signal, 0)), trace, top, top / trace, signal / trace
