"""Images that are decoded when they are asked for, and batches that are read ahead of their use."""

import os

import numpy as np

# Of the batches that are read ahead, and of the steps that a trainer asks for at a time.
BYTES_AHEAD = 128e6
_MOST_AHEAD = 500


class Stream:
    """Images in files, to be indexed as if they were one array in memory.

    Args:
        shape: `[n, height, width, channels]`.
        places: Arrays `[n]`, int64, that say where each image is.
        decode: Called with what they say of an image, as tensors, while a graph is traced; returns
            the image as a tensor, uint8 `[height, width, channels]`.
        explained: Called with an error of TensorFlow's; returns the one to raise.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape, places, decode, explained):
        self.shape = tuple(shape)
        self._places = places
        self._decode = decode
        self._explained = explained

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def nbytes(self):
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        """The images of a slice or of an array of positions, as an array."""
        positions = np.arange(len(self))[key]
        if not positions.size:
            return np.empty(self.shape, np.uint8)[:0]
        (images,) = self.batches(lambda: [positions], len(positions))
        return images

    def chunks(self, size):
        """Yields all images in order, so many at a time."""
        return self.batches(lambda: [np.arange(len(self))], size)

    def batches(self, positions, batch_size, finish=None):
        """Yields the batches of many steps, while those that follow are decoded.

        Args:
            positions: Called for an iterable of arrays of positions, one for each batch.
            batch_size: Images in a batch.
            finish: Called with the number of a batch, from 0, and its images; returns them as they
                are to be. As they are if None.
        """
        import tensorflow as tf

        def rows():
            for chosen in positions():
                yield tuple(np.asarray(column[chosen]) for column in self._places)

        signature = tuple(tf.TensorSpec([None], tf.int64) for _ in self._places)
        images = tf.data.Dataset.from_generator(rows, output_signature=signature).unbatch()
        images = images.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)
        images = images.map(lambda image: tf.ensure_shape(image, self.shape[1:]))
        batches = images.batch(batch_size)
        try:
            yield from _finished(batches, batch_size * self.nbytes // len(self), finish)
        except tf.errors.OpError as error:
            raise self._explained(error) from error


def batches_of_array(array, positions, batch_size, finish=None):
    """As `Stream.batches`, of an array that is memory-mapped: read from the disk ahead of time."""
    import tensorflow as tf

    signature = tf.TensorSpec([None], tf.int64)
    batches = tf.data.Dataset.from_generator(positions, output_signature=signature).map(
        lambda rows: tf.numpy_function(lambda rows: in_file_order(array, rows), [rows], array.dtype)
    )
    return _finished(batches, batch_size * array.nbytes // len(array), finish)


def in_file_order(array, positions):
    """`array[positions]`; one sweep through the file of an array that is memory-mapped."""
    order = np.argsort(positions, kind="stable")
    rows = np.empty([len(positions), *array.shape[1:]], array.dtype)
    rows[order] = array[positions[order]]
    return rows


def _finished(batches, size, finish):
    """Arrays of a `tf.data.Dataset` of batches of so many bytes, finished and read ahead."""
    import tensorflow as tf

    if finish is not None:
        batches = batches.enumerate().map(
            lambda number, x: tf.numpy_function(finish, [number, x], x.dtype),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    options = tf.data.Options()
    # Its own: those of TensorFlow may be few, and the training takes them.
    options.threading.private_threadpool_size = max(2, os.cpu_count())
    ahead = int(min(max(BYTES_AHEAD // size, 2), _MOST_AHEAD))
    return batches.with_options(options).prefetch(ahead).as_numpy_iterator()


class Ahead:
    """The inputs of the batches of a run, read ahead in the order of the steps.

    A probe may ask for steps to come, and an evaluation for those at the start of the training:
    what was read and may be asked for again is kept, and what lies behind is read once more.

    Args:
        from_step: Called with a step; an iterator over the inputs from that step on.
        at: Called with a step; its inputs, out of turn.
    """

    def __init__(self, from_step, at):
        self._from_step = from_step
        self._at = at
        self._iterator = None
        self._next = self._first = 0
        self._kept = {}

    def stack(self, start, stop):
        """Inputs of the steps `start <= step < stop`, `[stop - start, batch_size, ...]`."""
        if start < self._first:
            return np.stack([self._at(step) for step in range(start, stop)])
        if self._iterator is None or start > self._next:
            self._iterator, self._next = self._from_step(start), start
        self._first = start
        self._kept = {step: x for step, x in self._kept.items() if step >= start}
        while self._next < stop:
            self._kept[self._next] = next(self._iterator)
            self._next += 1
        return np.stack([self._kept[step] for step in range(start, stop)])
