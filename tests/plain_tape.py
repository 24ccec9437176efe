"""What the callbacks should record, from a plain `tf.GradientTape` and the paper's formulas.

Nothing of bnkit is used here: the weights of a step, seen by a callback of the test's own, are
assigned to the model itself, which is then called as Keras's `train_step` calls it.
"""

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
    """

    def __init__(self, model, loss, state):
        self._model = model
        self._loss = loss
        self._state = state

    def at(self, weights, function):
        """What a function of the model gives where the model has these weights."""
        model = self._model
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        before = values_of(variables)
        for variable, value in zip(variables, [*weights, *self._state], strict=True):
            variable.assign(value)
        try:
            return function(model)
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def loss(self, weights):
        return float(self.at(weights, self._loss))

    def gradient(self, weights):
        """A list of float64 arrays."""

        def function(model):
            with tf.GradientTape() as tape:
                loss = self._loss(model)
            gradient = tape.gradient(
                loss,
                [v.value for v in model.trainable_variables],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return [tf.convert_to_tensor(g).numpy().astype("float64") for g in gradient]

        return self.at(weights, function)


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


def ics(plain, weights, following, layers):
    """Definition 2.1, each layer a list of positions: only the layers before one move."""
    gradient = plain.gradient(weights)
    l2, cosine, norms = [], [], []
    for number, layer in enumerate(layers):
        moved = {p for earlier in layers[:number] for p in earlier}
        mixed = [following[p] if p in moved else weights[p] for p in range(len(weights))]
        there = plain.gradient(mixed)
        before, after = (flat([g[p] for p in layer]) for g in (gradient, there))
        l2.append(np.linalg.norm(after - before))
        norms.append(np.linalg.norm(before))
        cosine.append(before @ after / (norms[-1] * np.linalg.norm(after)))
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
                "radial_share": (g @ w) ** 2 / ((g @ g) * (w @ w)),
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
        scale = np.abs(value).max()
        np.testing.assert_allclose(
            record[name], value, rtol=rtol, atol=rtol * scale, err_msg=f"{record['kind']} {name}"
        )
