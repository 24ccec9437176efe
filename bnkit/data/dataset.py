"""What every data set is: two splits of labelled images or vectors, and their statistics."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bnkit.data.streams import Stream

# Images converted at a time: bounds the memory used, however large a memory-mapped array is.
_CHUNK = 1024


class DataError(ValueError):
    """A data set that is missing, unusable or invalid; the message says what would be right."""


class Form(NamedTuple):
    """What is known of a data set before it is read.

    Attributes:
        input_shape: Of one sample.
        classes: Number of classes.
        train_size: Number of training samples.
    """

    input_shape: tuple
    classes: int
    train_size: int


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs x and targets y, arrays `[n, ...]`, in memory or memory-mapped."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self):
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Split(Samples):
    """Labelled images, or vectors.

    Attributes:
        x: uint8 or float32; images `[n, height, width, channels]` or vectors `[n, features]`, whose
            features are their channels.
        y: Labels, int32, `[n]`.

    Raises:
        DataError: If a shape or a type differs from these, or if there are no samples.
    """

    def __post_init__(self):
        if (
            self.x.ndim not in (2, 4)
            or self.x.dtype not in (np.uint8, np.float32)
            or 0 in self.x.shape
        ):
            raise DataError(
                "Images must be a non-empty array of shape [n, height, width, channels], vectors "
                "one of shape [n, features], uint8 or float32. "
                f"Received: {self.x.dtype} of shape {self.x.shape}"
            )
        if self.y.dtype != np.int32 or self.y.shape != self.x.shape[:1]:
            raise DataError(
                f"Labels must be an int32 array of shape {self.x.shape[:1]}, one per sample. "
                f"Received: {self.y.dtype} of shape {self.y.shape}"
            )


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split, with what identifies and standardises them.

    Attributes:
        name: The name it was loaded by.
        train, test: The splits; images of both have the same shape.
        classes: Number of classes; labels are 0 to `classes - 1`.
        fingerprint: 16 hex digits over shape, type and bytes of all four arrays.
        mean, deviation: One number per channel, of the training split, on the scale of the inputs.
            The deviation of a constant channel is given as 1.

    Raises:
        DataError: If the splits' image shapes differ, or a label is out of range.
    """

    name: str
    train: Split
    test: Split
    classes: int
    fingerprint: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self):
        if self.train.x.shape[1:] != self.test.x.shape[1:]:
            raise DataError(
                f"Training and test images of {self.name!r} must have the same shape. "
                f"Received: {self.train.x.shape[1:]} and {self.test.x.shape[1:]}"
            )
        for name, split in (("training", self.train), ("test", self.test)):
            low, high = int(split.y.min()), int(split.y.max())
            if low < 0 or high >= self.classes:
                raise DataError(
                    f"The {name} labels of {self.name!r} must lie in 0 to {self.classes - 1}. "
                    f"Received: labels from {low} to {high}"
                )
        for name in ("mean", "deviation"):
            values = getattr(self, name)
            if len(values) != self.input_shape[-1]:
                raise DataError(
                    f"The {name} of {self.name!r} must have one number per channel, "
                    f"{self.input_shape[-1]}. Received: {values}"
                )

    @property
    def input_shape(self):
        """Height, width and channels of one image, or the features of one vector."""
        return self.train.x.shape[1:]

    def prepare(self, x):
        """Standardises a batch `[..., channels]` to a float32 tensor, eagerly or traced.

        Images travel to the device as uint8, a quarter of the bytes, and are converted there.
        """
        import tensorflow as tf

        mean = tf.constant(self.mean, tf.float32)
        deviation = tf.constant(self.deviation, tf.float32)
        return (tf.cast(x, tf.float32) - mean) / deviation


def make_dataset(name, train, test, classes, at=lambda done: None):
    """Measures two splits and puts them together as a `Dataset`; images are read once.

    Args:
        at: Called with the number of training images that have been read.
        others: As for `Dataset`.
    """
    if train.x.dtype != np.uint8:
        statistics = _channel_statistics(train.x)
        return Dataset(name, train, test, classes, fingerprint(train, test), *statistics)
    counts, done = _Counts(train.x.shape[-1]), 0

    def see(chunk):
        nonlocal done
        counts.add(chunk)
        done += len(chunk)
        at(done)

    found = fingerprint(train, test, see)
    return Dataset(name, train, test, classes, found, *counts.statistics())


def _channel_statistics(inputs):
    """Mean and deviation of each channel."""
    axes = tuple(range(inputs.ndim - 1))
    values = inputs.size / inputs.shape[-1]
    mean = sum(chunk.sum(axes, dtype=np.float64) for chunk in _chunks(inputs)) / values
    variance = sum(((chunk - mean) ** 2).sum(axes) for chunk in _chunks(inputs)) / values
    first = inputs[(0,) * (inputs.ndim - 1)]
    constant = np.all([(chunk == first).all(axes) for chunk in _chunks(inputs)], axis=0)
    deviation = np.where(constant, 1.0, np.sqrt(variance))
    return tuple(mean.tolist()), tuple(deviation.tolist())


class _Counts:
    """How often each byte occurs in each channel: it says everything, exactly."""

    def __init__(self, channels):
        self._counts = np.zeros([channels, 256], np.int64)

    def add(self, images):
        for channel, count in enumerate(self._counts):
            count += np.bincount(images[..., channel].ravel(), minlength=256)

    def statistics(self):
        """Mean and deviation of each channel."""
        values = np.arange(256, dtype=np.float64)
        pixels = self._counts[0].sum()
        mean = self._counts @ values / pixels
        variance = np.sum(self._counts * (values - mean[:, None]) ** 2, axis=1) / pixels
        # A constant channel is only shifted; dividing by its deviation, 0, would give NaN.
        constant = np.count_nonzero(self._counts, axis=1) == 1
        deviation = np.where(constant, 1.0, np.sqrt(variance))
        return tuple(mean.tolist()), tuple(deviation.tolist())


def fingerprint(train, test, see=lambda chunk: None):
    """16 hex digits over shape, type and bytes of all four arrays.

    Args:
        train, test: The splits.
        see: Called with each chunk of the training inputs as it is read.
    """
    digest = hashlib.sha256()
    for array in (train.x, train.y, test.x, test.y):
        digest.update(f"{array.shape} {array.dtype.str} ".encode())
        for chunk in _chunks(array):
            digest.update(np.ascontiguousarray(chunk))
            if array is train.x:
                see(chunk)
    return digest.hexdigest()[:16]


def _chunks(array):
    if isinstance(array, Stream):
        yield from array.chunks(_CHUNK)
        return
    for start in range(0, len(array), _CHUNK):
        yield array[start : start + _CHUNK]
