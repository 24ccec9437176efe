"""Internal covariate shift, measured on gradients (paper Definition 2.1, Fig 3)."""

from typing import NamedTuple

import tensorflow as tf

from bnkit.probes.objective import Objective, read
from bnkit.probes.stages import stages


class ICS(NamedTuple):
    """What `internal_covariate_shift` measures, one value per weight layer.

    Attributes:
        layers: Names of the weight layers, in forward order.
        l2: `[layers]`, `||G_i - G'_i||_2`; exactly 0 for a layer that none comes before.
        cosine: `[layers]`, the cosine of the angle between `G_i` and `G'_i`; 1 for a layer that
            none comes before, NaN if one of them is 0.
        gradient_norm: `[layers]`, `||G_i||_2`.
    """

    layers: tuple[str, ...]
    l2: tf.Tensor
    cosine: tf.Tensor
    gradient_norm: tf.Tensor


def internal_covariate_shift(
    model, loss_fn, batch, next_weights, *, weights=None, state=None, statistics="batch"
):
    """How much each layer's gradient changes because the layers *before* it were updated.

    `G_i` is the gradient for layer i at W(t), `G'_i` the same with the layers before i at W(t+1)
    and all others, layer i among them, still at W(t), both on the same batch. A layer comes before
    another if its output reaches it: on a graph that branches, layers side by side do not move one
    another. Scale and shift of a normalisation belong to the weight layer that it follows (see
    `stages`).

    Args:
        model, loss_fn, batch, weights, state, statistics: See `bnkit.probes`.
        next_weights: W(t+1), as the optimizer really produced them, aligned with
            `model.trainable_variables`.

    Returns:
        An `ICS`.
    """
    objective = Objective(model, loss_fn, batch, weights, state, statistics)
    current = objective.weights
    following = read(next_weights, model.trainable_variables, "next_weights")
    layers = stages(model, batch[0])
    evaluate = objective.evaluator()
    _, gradient = evaluate(current)
    l2, cosine, norms = [], [], []
    for layer in layers:
        before = [gradient[p] for p in layer.positions]
        moved = {p for other in layer.before for p in layers[other].positions}
        mixed = [following[p] if p in moved else here for p, here in enumerate(current)]
        # The gradient of a layer that none comes before does not change. For each of the others a
        # plain gradient is taken; in a graph, what they share is computed once.
        after = evaluate(mixed, of=layer.positions)[1] if moved else before
        norm = tf.linalg.global_norm(before)
        l2.append(tf.linalg.global_norm([a - b for a, b in zip(after, before, strict=True)]))
        inner = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(after, before, strict=True)])
        cosine.append(inner / (norm * tf.linalg.global_norm(after)))
        norms.append(norm)
    names = tuple(layer.name for layer in layers)
    # Rounding may take a cosine slightly past 1.
    cosine = tf.clip_by_value(tf.stack(cosine), -1, 1)
    return ICS(names, tf.stack(l2), cosine, tf.stack(norms))
