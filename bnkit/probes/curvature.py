"""The Hessian of the loss: its largest eigenvalue, and the curvature along the gradient."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bnkit.probes import replicas, second_derivatives
from bnkit.probes.objective import Objective


class Curvature(NamedTuple):
    """What `curvature` measures; scalars, of the weights' type where not stated.

    Attributes:
        loss: `L(theta)`, in the type of the loss, at least float32.
        gradient_norm: `||g||` with `g = grad L(theta)`.
        sharpness: `g'Hg / ||g||^2`, the batch sharpness of arXiv 2412.20553: the limit of
            `landscape`'s smoothness for small steps if g is an eigenvector. NaN if the gradient
            is 0.
        top_eigenvalue: The largest (not the largest in magnitude) eigenvalue of H: 2 over it is
            the learning rate at which gradient descent stops being stable (arXiv 2103.00065).
        residual: `||Hv - lambda v||` for the unit vector v that belongs to it: some eigenvalue of
            H lies within this distance of `top_eigenvalue`.
        products: int32, number of Hessian-vector products that the eigenvalue took.
    """

    loss: tf.Tensor
    gradient_norm: tf.Tensor
    sharpness: tf.Tensor
    top_eigenvalue: tf.Tensor
    residual: tf.Tensor
    products: tf.Tensor


def curvature(
    model,
    loss_fn,
    batch,
    *,
    products=20,
    tolerance=0.01,
    seed=(0, 0),
    weights=None,
    state=None,
    statistics="batch",
):
    """Measures the Hessian H of the batch loss at `theta`.

    The eigenvalue comes from Lanczos' method with full reorthogonalisation, started at a random
    vector. It is never above the largest eigenvalue by more than rounding. The method ends at
    `residual <= tolerance * |top_eigenvalue|`. Several replicas cannot exchange values in a loop of
    unknown length: there all products are made, and used.

    Args:
        model, loss_fn, batch, weights, state, statistics: See `bnkit.probes`.
        products: Number of Hessian-vector products to spend on the eigenvalue at most.
        tolerance: Relative residual at which the method ends; 0 to spend all products.
        seed: Two integers, or a tensor of them, that draw the random vector.

    Returns:
        A `Curvature`. If the gradient is not finite, all but the loss and the gradient norm are
        NaN. Costs one gradient (two on replicas), and two to three more for each product and for
        the sharpness. It keeps `products` vectors of the length of all weights.

    Raises:
        ValueError: For products or a tolerance that are not valid, or, in a `tf.function`, for max
            pooling that leaves the height and width as they are.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[0.0], [1.0]])])   # L = 3 w_1^2 / 2 - w_2^2 / 2
    >>> saddle = lambda y_true, y_pred: keras.ops.sum(y_true * y_pred**2) / 2
    >>> result = curvature(model, saddle, (np.eye(2), np.array([[3.0], [-1.0]])))
    >>> round(float(result.top_eigenvalue), 4), float(result.sharpness)
    (3.0, -1.0)
    """
    _check(products, tolerance)
    objective = Objective(model, loss_fn, batch, weights, state, statistics)
    loss, gradient, multiply = _second_order(objective)
    norm = tf.norm(gradient)
    alone = objective.replicas == 1
    method = _Lanczos(
        start=tf.random.stateless_normal(gradient.shape, seed, dtype=gradient.dtype),
        steps=min(products, gradient.shape[0]),
        tolerance=tolerance if alone else 0.0,
    )
    sharpness, found = _multiplied(gradient, norm, multiply, method, alone)
    return Curvature(loss, norm, sharpness, found.eigenvalue, found.residual, found.count)


def _check(products, tolerance):
    if products < 1:
        raise ValueError(f"`products` must be >= 1. Received: products={products!r}")
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must be >= 0. Received: tolerance={tolerance!r}")


def _multiplied(gradient, norm, multiply, method, alone):
    """The sharpness, from the product with the gradient, and Lanczos' progress, from the others.

    All products are made in one loop, so that the graph holds the product only once.
    """
    # Divided by an infinite norm, the gradient would be 0, as if the loss were linear.
    direction = tf.where(tf.math.is_finite(norm), gradient / norm, float("nan"))

    def step(first, sharpness, progress):
        vector = tf.where(first, direction, progress.vector)
        product = multiply(vector)
        sharpness = tf.where(first, tf.tensordot(vector, product, 1), sharpness)
        progress = tf.cond(
            first | progress.done, lambda: progress, lambda: method.advance(progress, product)
        )
        return tf.constant(False), sharpness, progress

    nan = tf.constant(float("nan"), gradient.dtype)
    values = tf.constant(True), nan, method.begin(done=~tf.math.is_finite(norm))
    if alone:
        values = tf.while_loop(lambda first, _, progress: ~progress.done, step, values)
    else:
        for _ in range(1 + method.steps):
            values = step(*values)
    _, sharpness, found = values
    return sharpness, found


def flatten(tensors):
    """One vector of all elements, in float64 if any of the tensors is, else in float32."""
    tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
    dtype = tf.float64 if any(t.dtype == tf.float64 for t in tensors) else tf.float32
    return tf.concat([tf.reshape(tf.cast(t, dtype), [-1]) for t in tensors], 0)


def eigh(matrix):
    """`tf.linalg.eigh`, but NaN for a matrix that is not finite instead of an error."""
    finite = tf.reduce_all(tf.math.is_finite(matrix))
    eigenvalues, vectors = tf.linalg.eigh(tf.where(finite, matrix, 0))
    return tf.where(finite, eigenvalues, float("nan")), vectors


def _second_order(objective):
    """`L(theta)`, its gradient as one vector, and the function that multiplies H by a vector."""
    weights = objective.weights
    # The gradient is recorded once, outside the loop: each product in the loop then is a backward
    # pass through it, and no more. Replicas add up afterwards: if what they exchange were
    # differentiated, they would add up twice.
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as outer:
        outer.watch(weights)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as inner:
            inner.watch(weights)
            with second_derivatives.mended():
                loss = objective.replica_loss(weights)
            scaled = objective.scaled(loss)
        recorded = gradient = _gradient(inner, scaled, weights, _seed(objective, scaled.dtype))
    if objective.replicas > 1:
        # Apart from the recorded one, see `_seed`.
        gradient = _gradient(inner, scaled, weights)

    def multiply(vector):
        pieces = tf.split(vector, [w.shape.num_elements() for w in weights])
        pieces = [
            tf.cast(tf.reshape(piece, w.shape), w.dtype)
            for piece, w in zip(pieces, weights, strict=True)
        ]
        products = _gradient(outer, recorded, weights, pieces)
        if not tf.executing_eagerly():
            second_derivatives.check(tf.compat.v1.get_default_graph())
        return replicas.added_up(objective.unscaled([flatten(products)]))[0]

    # One by one, because they may be of different types.
    (whole,) = objective.unscaled([flatten(gradient)])
    loss, total = (replicas.added_up([value])[0] for value in (loss, whole))
    return loss, total, multiply


def _gradient(tape, target, weights, seed=None):
    """The gradient of the target, multiplied by the seed if there is one."""
    zero = tf.UnconnectedGradients.ZERO
    gradient = tape.gradient(target, weights, output_gradients=seed, unconnected_gradients=zero)
    return [tf.convert_to_tensor(g) for g in gradient]


def _seed(objective, dtype):
    """What the recorded gradient is multiplied by: 1, or None where that is not needed.

    Replicas make their products without a loop, in the graph of the gradient. There oneDNN merges
    the gradient of a convolution's bias with a part of the product, because both are computed from
    the same tensor. But that part depends on the gradient, and TensorFlow stops with "nodes in a
    cycle". So replicas compute the gradient a second time, for the vectors to be made of, and
    record it with a factor of 1 that the graph's optimiser cannot see: it would take both for one.
    """
    if objective.replicas == 1:
        return None
    return tf.raw_ops.PlaceholderWithDefault(input=tf.constant(1.0, dtype), shape=[])


class _Progress(NamedTuple):
    """Where Lanczos' method stands after `count` products.

    Attributes:
        count: int32.
        vector: `[n]`, the unit vector to be multiplied next.
        basis: `[steps, n]`, the vectors multiplied so far, orthonormal; then zeros.
        rows: `[steps, steps + 1]`, float64: row j holds the components of `H basis[j]` along the
            basis and, at j + 1, along the next vector.
        eigenvalue: The largest of H on the basis.
        residual: That of its vector.
        done: Whether there is nothing more to do.
    """

    count: tf.Tensor
    vector: tf.Tensor
    basis: tf.Tensor
    rows: tf.Tensor
    eigenvalue: tf.Tensor
    residual: tf.Tensor
    done: tf.Tensor


class _Lanczos:
    """Lanczos' method: at most `steps` products, from the vector `start`, `[n]`."""

    def __init__(self, start, steps, tolerance):
        self.steps = steps
        self._start = start
        self._tolerance = tolerance

    def begin(self, done):
        dtype = self._start.dtype
        nan = tf.constant(float("nan"), dtype)
        return _Progress(
            count=tf.constant(0),
            vector=self._start / tf.norm(self._start),
            basis=tf.zeros([self.steps, self._start.shape[0]], dtype),
            rows=tf.zeros([self.steps, self.steps + 1], tf.float64),
            eigenvalue=nan,
            residual=nan,
            done=done,
        )

    def advance(self, progress, product):
        """The progress after one more product, that of H and `progress.vector`."""
        position = progress.count[tf.newaxis, tf.newaxis]
        basis = tf.tensor_scatter_nd_update(progress.basis, position, progress.vector[tf.newaxis])
        components, rest = _project(basis, product)
        # Rounding leaves small components, which would grow when the rest is scaled to length 1.
        more, rest = _project(basis, rest)
        size = tf.norm(rest)
        row = tf.concat([components + more, [0]], 0)
        row += size * tf.one_hot(progress.count + 1, self.steps + 1, dtype=row.dtype)
        row = tf.cast(row, tf.float64)
        rows = tf.tensor_scatter_nd_update(progress.rows, position, row[tf.newaxis])
        count = progress.count + 1
        eigenvalue, residual = self._top(rows[:count])
        # Nothing is left: the basis spans all eigenvectors that the start has a part in.
        negligible = 8 * np.finfo(rest.dtype.as_numpy_dtype).eps * tf.norm(rows)
        done = (
            (count == self.steps)
            | (residual <= self._tolerance * tf.abs(eigenvalue))
            | (tf.cast(size, tf.float64) <= negligible)
            | ~tf.math.is_finite(residual)
        )
        found = [tf.cast(value, rest.dtype) for value in (eigenvalue, residual)]
        return _Progress(count, rest / size, basis, rows, *found, done)

    def _top(self, rows):
        """The largest eigenvalue of H on the basis, and the residual of its vector."""
        square = rows[:, : tf.shape(rows)[0]]
        # Without rounding it would be symmetric, with three diagonals, and the residual would be
        # the component along the next vector. All components together show the rounding, too.
        eigenvalues, vectors = eigh((square + tf.transpose(square)) / 2)
        eigenvalue, vector = eigenvalues[-1], vectors[:, -1]
        image = tf.linalg.matvec(rows, vector, transpose_a=True)
        vector = tf.pad(vector, [[0, tf.shape(image)[0] - tf.shape(vector)[0]]])
        return eigenvalue, tf.norm(image - eigenvalue * vector)


def _project(basis, vector):
    """The components of a vector along an orthonormal basis, and what is left of the vector."""
    components = tf.linalg.matvec(basis, vector)
    return components, vector - tf.linalg.matvec(basis, components, transpose_a=True)
