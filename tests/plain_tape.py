"""What the callbacks should record, from a plain `tf.GradientTape` and the paper's formulas.

Nothing of bnkit is used here: the weights of a step, seen by a callback of the test's own, are
assigned to the model itself, which is then called as Keras's `train_step` calls it.
"""

import contextlib
import copy

import keras
import numpy as np
import tensorflow as tf


def values_of(variables):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


class Watch(keras.callbacks.Callback):
    """Sees `(weights, state, weights after the update)` of every step of `model.fit`."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_begin(self, batch, logs=None):
        self.weights = values_of(self.model.trainable_variables)
        self.state = values_of(self.model.non_trainable_variables)

    def on_train_batch_end(self, batch, logs=None):
        following = values_of(self.model.trainable_variables)
        self.steps.append((self.weights, self.state, following))


class Plain:
    """`L` of a model and its gradient, at any weights and one state.

    Args:
        model: It is put back after each call.
        loss: `loss(model)`, the loss of the batch by formulas; it calls the model.
        state: Values of `model.non_trainable_variables`.
        in_graph: Whether to trace the gradient once, which pays where it is taken many times.
    """

    def __init__(self, model, loss, state, in_graph=False):
        self._model = model
        self._loss = loss
        self.state = state
        self._taken = self._by_tape
        if in_graph:
            self._taken = tf.function(self._by_tape, autograph=False)

    def at_state(self, state):
        """The same at another state, without tracing anew."""
        other = copy.copy(self)
        other.state = state
        return other

    def at(self, weights, function):
        """What a function of the model gives where the model has these weights."""
        model = self._model
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        before = values_of(variables)
        for variable, value in zip(variables, [*weights, *self.state], strict=True):
            variable.assign(value)
        try:
            return function(model)
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def loss(self, weights):
        return float(self.at(weights, lambda model: self._taken()[0]))

    def gradient(self, weights):
        """A list of float64 arrays."""

        gradient = self.at(weights, lambda model: self._taken()[1])
        return [g.numpy().astype("float64") for g in gradient]

    def _by_tape(self):
        with tf.GradientTape() as tape:
            loss = self._loss(self._model)
        gradient = tape.gradient(
            loss,
            [v.value for v in self._model.trainable_variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return loss, [tf.convert_to_tensor(g) for g in gradient]


def _ratio(above, below):
    return above / below if below else np.nan


def flat(tensors):
    return np.concatenate([np.ravel(np.asarray(t, np.float64)) for t in tensors])


def length(tensors):
    return np.linalg.norm(flat(tensors))


def line(plain, weights, direction, step_sizes):
    """The landscape from the weights along `-direction`."""
    gradient = plain.gradient(weights)
    losses, distances = [], []
    for s in step_sizes:
        point = [w - (s * d).astype(w.dtype) for w, d in zip(weights, direction, strict=True)]
        there = plain.gradient(point)
        losses.append(plain.loss(point))
        distances.append(length([a - b for a, b in zip(there, gradient, strict=True)]))
    norm = length(gradient)
    return {
        "loss": plain.loss(weights),
        "gradient_norm": norm,
        "losses": losses,
        "gradient_distances": distances,
        "smoothness": max(d / (s * norm) for d, s in zip(distances, step_sizes, strict=True)),
    }


def landscape(plain, weights, step_sizes):
    return line(plain, weights, plain.gradient(weights), step_sizes)


def random_landscape(plain, weights, step_sizes, seed, step):
    """The landscape along the first direction that a seed draws at a step, as long as the gradient.

    Drawn as bnkit draws it: the numbers are TensorFlow's own.
    """
    seed = tf.random.experimental.stateless_fold_in([seed, step], 0)
    seeds = tf.random.experimental.stateless_split(seed, len(weights))
    drawn = [
        tf.random.stateless_normal(w.shape, one, dtype=w.dtype).numpy()
        for w, one in zip(weights, seeds, strict=True)
    ]
    factor = length(plain.gradient(weights)) / length(drawn)
    return line(plain, weights, [factor * d for d in drawn], step_sizes)


def ics(plain, weights, following, layers, apart=()):
    """Definition 2.1, each layer a list of positions: only the layers before one move.

    Those are all that are listed before it but for pairs `(number, other)` in `apart`.
    """
    gradient = plain.gradient(weights)
    l2, cosine, norms = [], [], []
    for number, layer in enumerate(layers):
        before = [layers[i] for i in range(number) if (number, i) not in apart]
        moved = {p for earlier in before for p in earlier}
        mixed = [following[p] if p in moved else weights[p] for p in range(len(weights))]
        there = plain.gradient(mixed)
        before, after = (flat([g[p] for p in layer]) for g in (gradient, there))
        l2.append(np.linalg.norm(after - before))
        norms.append(np.linalg.norm(before))
        cosine.append(_ratio(before @ after, norms[-1] * np.linalg.norm(after)))
    return {"l2": l2, "cosine": cosine, "gradient_norm": norms}


def turning(plain, weights, following, layers, learning_rate):
    """What `Weights` records, from the kernels of each layer."""
    gradient = plain.gradient(weights)
    rows = []
    for layer in layers:
        kernels = [p for p in layer if weights[p].ndim >= 2]
        w, v, g = (flat([one[p] for p in kernels]) for one in (weights, following, gradient))
        norm = np.linalg.norm(w)
        unit, other = w / norm, v / np.linalg.norm(v)
        rows.append(
            {
                "weight_norm": norm,
                "effective_lr": learning_rate / norm**2,
                # By the sine: a cosine is flat at small angles.
                "angular_update": np.arcsin(np.linalg.norm(other - (unit @ other) * unit)),
                "radial_share": _ratio((g @ w) ** 2, (g @ g) * (w @ w)),
                "gradient_norm": np.linalg.norm(g),
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


def hessian_times(plain, weights, vector, step=1e-4):
    """Product of the Hessian and a vector, by central differences of gradients."""
    pieces = np.split(vector, np.cumsum([w.size for w in weights])[:-1])
    pieces = [step * p.reshape(w.shape) for p, w in zip(pieces, weights, strict=True)]
    ahead, behind = (
        flat(plain.gradient([w + sign * p for w, p in zip(weights, pieces, strict=True)]))
        for sign in (1, -1)
    )
    return (ahead - behind) / (2 * step)


def curvature(plain, weights, step=1e-4):
    """Sharpness and top eigenvalue, by the whole Hessian: for small models in float64."""
    gradient = flat(plain.gradient(weights))
    unit = gradient / np.linalg.norm(gradient)
    columns = [hessian_times(plain, weights, e, step) for e in np.eye(len(unit))]
    hessian = np.stack(columns)
    return {
        "loss": plain.loss(weights),
        "gradient_norm": np.linalg.norm(gradient),
        "sharpness": unit @ hessian_times(plain, weights, unit, step),
        "top_eigenvalue": np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1],
    }


def krylov(plain, weights, products, step=1e-7):
    """Sharpness, and the top eigenvalue as far as some products of the Hessian show it.

    They are of the space of `v, Hv, H^2 v, ...` for the v that `Curvature` begins with: there the
    eigenvalue is the largest that the Rayleigh quotient has. The step of the differences is small,
    for float64: along a larger one some unit may meet the kink of its ReLU.
    """
    gradient = flat(plain.gradient(weights))
    unit = gradient / np.linalg.norm(gradient)
    vector = tf.random.stateless_normal(gradient.shape, (0, 0), dtype=tf.float64).numpy()
    basis, images = [], []
    for _ in range(products):
        for _ in range(2):
            vector = vector - sum(((b @ vector) * b for b in basis), np.zeros_like(vector))
        basis.append(vector / np.linalg.norm(vector))
        vector = hessian_times(plain, weights, basis[-1], step)
        images.append(vector)
    inside = np.stack(basis) @ np.stack(images).T
    eigenvalues, vectors = np.linalg.eigh((inside + inside.T) / 2)
    found, image = (np.stack(those).T @ vectors[:, -1] for those in (basis, images))
    return {
        "loss": plain.loss(weights),
        "gradient_norm": np.linalg.norm(gradient),
        "sharpness": unit @ hessian_times(plain, weights, unit, step),
        "top_eigenvalue": eigenvalues[-1],
        "residual": np.linalg.norm(image - eigenvalues[-1] * found),
    }


def distribution(values, units, levels, edges):
    """What `Activations` records of some units of `[samples, units]`."""
    columns = values[:, units]
    return {
        "mean": columns.mean(0),
        "variance": columns.var(0),
        "quantiles": np.quantile(columns, levels, axis=0).T,
        "histogram": [np.histogram(column, edges)[0] for column in columns.T],
    }


def signal(values):
    """What `Activations` records of all units of `[samples, units]`."""
    squares = np.linalg.svd(values, compute_uv=False) ** 2
    return {
        "squared_mean": np.mean(values.mean(0) ** 2),
        "variance": np.mean(values.var(0)),
        "rank": np.sum(squares > 1e-6 * squares[0]),
        "effective_rank": squares.sum() ** 2 / np.sum(squares**2),
    }


def theorem(plain, weights, loss, norms):
    """Both sides of Theorem 4.1 at Keras's batch normalisations, over the positions that count.

    The gradients for the inputs and outputs of a layer are those for zeros added to them.

    Args:
        plain, weights: Where the theorem is held.
        loss: `loss(model)`.
        norms: The layers, whose units are on the last axis -> the mask of their inputs, or None.
    """

    def function(model):
        seen = {}
        with tf.GradientTape() as tape, contextlib.ExitStack() as stack:
            for norm in norms:
                norm.call = _with_zeros(norm.call, seen.setdefault(norm.name, []), tape)
                stack.callback(delattr, norm, "call")
            value = loss(model)
        zeros = [[zero for _, zero in seen[norm.name]] for norm in norms]
        gradients = tape.gradient(value, zeros)
        return [
            (
                *(np.asarray(g).reshape(-1, norm.gamma.shape[0]) for g in of_norm),
                np.asarray(seen[norm.name][0][0]).reshape(-1, norm.gamma.shape[0]),
                np.asarray(norm.gamma),
                norm.epsilon,
            )
            for norm, of_norm in zip(norms, gradients, strict=True)
        ]

    rows = []
    for found, mask in zip(plain.at(weights, function), norms.values(), strict=True):
        by_y, g, y, gamma, epsilon = found
        count = np.ones(len(y), bool) if mask is None else np.ravel(mask)
        m = count.sum()
        sigma = np.sqrt(y[count].var(0) + epsilon)
        y_hat = (y - y[count].mean(0)) / sigma
        one, hat = g.sum(0), (g * y_hat).sum(0)
        one_counted, hat_counted = g[count].sum(0), (g * y_hat)[count].sum(0)
        # A padded position is normalised too, and has a gradient.
        lost = one * (2 * one_counted - one) + hat * (2 * hat_counted - hat)
        right = np.sum(gamma**2 / sigma**2 * ((g**2).sum(0) - lost / m))
        left = np.sum(by_y**2)
        rows.append({"left": left, "right": right, "gradient_ratio": np.sqrt(left / np.sum(g**2))})
    return {name: [row[name] for row in rows] for name in rows[0]}


def _with_zeros(call, seen, tape):
    """The call of a layer, with zeros added to its inputs and its outputs."""

    def added(inputs, *arguments, **keywords):
        zero = tf.zeros_like(inputs)
        tape.watch(zero)
        seen.append((inputs, zero))
        outputs = call(inputs + zero, *arguments, **keywords)
        zero = tf.zeros_like(outputs)
        tape.watch(zero)
        seen.append((outputs, zero))
        return outputs + zero

    return added


def noise(gradients):
    """What `GradientNoise` records, from a list of mini-batch gradients."""
    gradients = np.stack([flat(g) for g in gradients])
    mean = gradients.mean(0)
    apart = gradients - mean
    covariance = apart @ apart.T / (len(gradients) - 1)
    trace, top = np.trace(covariance), np.linalg.eigvalsh(covariance)[-1]
    return {
        "gradient_norm": np.linalg.norm(mean),
        "trace": trace,
        "top_eigenvalue": top,
        "share": top / trace,
        "signal_to_noise": mean @ mean / trace,
    }


def assert_records(record, expected, rtol):
    """Every expected field of a record, relative to the largest entry of the field."""
    for name, value in expected.items():
        scale = np.nan_to_num(np.abs(value)).max()
        np.testing.assert_allclose(
            record[name], value, rtol=rtol, atol=rtol * scale, err_msg=f"{record['kind']} {name}"
        )
