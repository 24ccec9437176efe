"""Where TensorFlow's second derivatives are wrong without a word: mended, or else refused."""

import contextlib
import threading

import tensorflow as tf

_LOCK = threading.Lock()


@contextlib.contextmanager
def mended():
    """While the block runs, `tf.nn.moments` and `tf.image.resize` can be differentiated twice.

    Keras's normalisations are made of the one, its `UpSampling2D` and `Resizing` of the other.
    Values and gradients stay the same, up to rounding.

    The replicas of a strategy run in threads of one process, and one may wait in the middle of its
    block: so the last of them puts the originals back. A `tf.function` inside the user's model that
    was traced before keeps TensorFlow's own.
    """
    with _LOCK:
        if _Replaced.users == 0:
            _Replaced.originals = [getattr(module, name) for module, name, _ in _MENDED]
            for module, name, ours in _MENDED:
                setattr(module, name, ours)
        _Replaced.users += 1
    try:
        yield
    finally:
        with _LOCK:
            _Replaced.users -= 1
            if _Replaced.users == 0:
                for (module, name, _), original in zip(_MENDED, _Replaced.originals, strict=True):
                    setattr(module, name, original)


class _Replaced:
    """How many blocks run, and what to put back after the last of them."""

    users = 0
    originals = ()


def _moments(x, axes, shift=None, keepdims=False, name=None):
    """`tf.nn.moments`, whose arguments these are.

    TensorFlow's takes the mean within the variance for a constant. That leaves the gradient as it
    is, because the variance has derivative 0 by its mean, but not the Hessian: the weights before
    a normalisation would get a curvature along directions that only shift the mean.
    """
    x = tf.convert_to_tensor(x)
    # As there: sums in float16 would overflow.
    y = tf.cast(x, tf.float32) if x.dtype == tf.float16 else x
    mean = tf.reduce_mean(y, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(y, mean), axes, keepdims=True)
    if not keepdims:
        mean, variance = tf.squeeze(mean, axes), tf.squeeze(variance, axes)
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


def _resize(images, size, method="bilinear", *arguments, **keywords):
    """`tf.image.resize`, of which TensorFlow leaves the second derivative out where bilinear.

    It is linear, one axis after the other, and here a product with the matrix of each. The other
    methods have no second derivative either, but say so.
    """
    original = _Replaced.originals[1]
    images = tf.convert_to_tensor(images)
    if method != "bilinear" or arguments or any(keywords.values()) or len(images.shape) != 4:
        return original(images, size, method, *arguments, **keywords)
    size = tf.unstack(tf.cast(size, tf.int32), num=2)
    for axis, target in zip("hw", size, strict=True):
        images = _along(original, tf.cast(images, tf.float32), axis, target)
    return images


def _along(resize, images, axis, target):
    """The images resized along one axis, "h" or "w"."""
    length = tf.shape(images)["bhwc".index(axis)]
    basis = tf.eye(length)[tf.newaxis, :, :, tf.newaxis]
    matrix = resize(basis, tf.stack([target, length]), "bilinear")[0, :, :, 0]
    result = "bhwc".replace(axis, "t")
    return tf.einsum(f"t{axis},bhwc->{result}", matrix, images)


_MENDED = ((tf.nn, "moments", _moments), (tf.image, "resize", _resize))


def check(graph):
    """Refuses a graph with a second derivative that TensorFlow gets wrong.

    Its kernel for that of max pooling writes over its input where both have one shape, before it
    has read it (TensorFlow 2.21, on the CPU, in graphs): where the pooling leaves the height and
    width as they are.

    Args:
        graph: A `tf.Graph` with the product of the Hessian and a vector in it.

    Raises:
        ValueError: If there is one.
    """
    for operation in graph.get_operations():
        if operation.type in ("MaxPoolGradGrad", "MaxPool3DGradGrad"):
            before, after = (t.shape[1:] for t in (operation.inputs[2], operation.outputs[0]))
            if before == after and before.is_fully_defined():
                raise ValueError(
                    "In a `tf.function` TensorFlow has no right second derivative of a max pooling "
                    "that leaves the size as it is (strides 1, or images of one pixel). "
                    f"Received: one of shape {tuple(before)}"
                )
