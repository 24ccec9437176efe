"""The loss and the gradient along a line through the weights (paper Figs 4, 10 to 13)."""

from typing import NamedTuple

import tensorflow as tf

from bnkit.probes import replicas
from bnkit.probes.objective import Objective


class Landscape(NamedTuple):
    """What `landscape` measures; tensors of the weights' type, losses of their own.

    That is the type of the loss function's values, at least float32.

    Attributes:
        loss: Scalar, `L(theta)`.
        gradient_norm: Scalar, `||g||` with `g = grad L(theta)`.
        losses: `[step sizes]`, `L(theta - s g)`: their range is the band of Fig 4a.
        gradient_distances: `[step sizes]`, `||grad L(theta - s g) - g||`: their range is the
            gradient predictiveness of Fig 4b.
        smoothness: Scalar, `max_s ||grad L(theta - s g) - g|| / (s ||g||)`: the "effective"
            beta-smoothness of Fig 4c. NaN if a distance is NaN, or if the gradient is 0.
    """

    loss: tf.Tensor
    gradient_norm: tf.Tensor
    losses: tf.Tensor
    gradient_distances: tf.Tensor
    smoothness: tf.Tensor


def landscape(
    model,
    loss_fn,
    batch,
    step_sizes,
    direction="gradient",
    *,
    seed=None,
    weights=None,
    state=None,
    statistics="batch",
):
    """Measures the landscape from `theta` along a direction d, on one batch.

    It is the gradient, `d = g`, or a random vector: Gaussian, scaled to the norm of g, so that a
    step size means the same distance. For a random direction, read `theta - s d` for `theta - s g`.

    Args:
        model, loss_fn, batch, weights, state, statistics: See `bnkit.probes`.
        step_sizes: The numbers `s > 0`: absolute, the same for all models to be compared.
        direction: `"gradient"` or `"random"`.
        seed: Two integers, or a tensor of them, that draw the random direction.

    Returns:
        A `Landscape`. Costs one gradient and one more for each step size.

    Raises:
        ValueError: For step sizes, a direction or a seed that are not valid.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[2.0]])])   # L = w^2 / 2: gradient 2, curvature 1
    >>> half_square = lambda y_true, y_pred: keras.ops.mean(y_pred**2) / 2
    >>> landscape(model, half_square, (np.ones((4, 1)), np.zeros(4)), [0.5, 1.0]).losses.numpy()
    array([0.5, 0. ], dtype=float32)
    """
    step_sizes = _checked(step_sizes, direction, seed)
    objective = Objective(model, loss_fn, batch, weights, state, statistics)
    theta = objective.weights
    evaluate = objective.evaluator()
    loss, gradient = evaluate(theta)
    gradient_norm = tf.linalg.global_norm(gradient)
    towards = gradient if direction == "gradient" else _random(gradient, gradient_norm, seed)

    def at(s):
        point = [w - tf.cast(s, w.dtype) * d for w, d in zip(theta, towards, strict=True)]
        loss_there, gradient_there = evaluate(point)
        differences = [there - here for there, here in zip(gradient_there, gradient, strict=True)]
        return loss_there, tf.linalg.global_norm(differences)

    sizes = tf.constant(step_sizes, gradient_norm.dtype)
    losses, distances = replicas.in_turn(at, sizes, (loss.dtype, gradient_norm.dtype))
    smoothness = _largest(distances / (sizes * gradient_norm))
    return Landscape(loss, gradient_norm, losses, distances, smoothness)


def _largest(ratios):
    """The largest ratio; NaN if one of them is NaN, which a plain maximum may pass over."""
    undefined = tf.reduce_any(tf.math.is_nan(ratios))
    return tf.where(undefined, tf.cast(float("nan"), ratios.dtype), tf.reduce_max(ratios))


def _checked(step_sizes, direction, seed):
    """The step sizes as numbers, if all arguments are valid."""
    if direction not in ("gradient", "random"):
        raise ValueError(
            f"`direction` must be 'gradient' or 'random'. Received: direction={direction!r}"
        )
    if (direction == "random") != (seed is not None):
        raise ValueError(
            "A random direction needs a `seed`, and no other takes one. "
            f"Received: direction={direction!r}, seed={seed!r}"
        )
    step_sizes = [float(s) for s in step_sizes]
    if not step_sizes or not all(0 < s < float("inf") for s in step_sizes):
        raise ValueError(f"`step_sizes` must be finite and > 0. Received: step_sizes={step_sizes}")
    return step_sizes


def _random(gradient, norm, seed):
    """A Gaussian direction of the gradient's shapes, scaled to the given norm."""
    seeds = tf.random.experimental.stateless_split(seed, len(gradient))
    drawn = [
        tf.random.stateless_normal(tf.shape(g), seeds[i], dtype=g.dtype)
        for i, g in enumerate(gradient)
    ]
    factor = norm / tf.linalg.global_norm(drawn)
    return [factor * d for d in drawn]
