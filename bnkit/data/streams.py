"""Images that are decoded when they are asked for, and batches that are read ahead of their use."""

import concurrent.futures
import contextlib
import os
import weakref

import numpy as np

# Of the batches that are read ahead.
_BYTES_AHEAD = 128e6
_MOST_AHEAD = 500


class Stream:
    """Images in files, to be indexed as if they were one array in memory.

    Args:
        shape: `[n, height, width, channels]`.
        read: Called with positions, an array; returns their images, uint8. Several threads may
            call it at a time.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape, read):
        self.shape = tuple(shape)
        self._read = read

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
        return self._read(positions) if positions.size else np.empty((0, *self.shape[1:]), np.uint8)

    def chunks(self, size):
        """Yields all images in order, so many at a time."""
        count = -(-len(self) // size)
        ahead = Ahead(lambda i: self[i * size : (i + 1) * size], self.nbytes // count, count)
        with contextlib.closing(ahead):
            for i in range(count):
                (chunk,) = ahead.take(i, i + 1)
                yield chunk


class Ahead:
    """What is read step by step, read ahead in the order of the steps by several threads.

    A probe may ask for steps to come, and an evaluation for those at the start of the training:
    what was read and may be asked for again is kept, and what lies behind is read once more.

    Args:
        read: Called in a thread with a step; returns what is read.
        size: Bytes that it takes.
        steps: Where the steps end; nowhere if None.
    """

    def __init__(self, read, size, steps=None):
        self._read = read
        self._steps = steps
        self._count = int(min(max(_BYTES_AHEAD // max(size, 1), 2), _MOST_AHEAD))
        self._first = 0
        self._kept = {}
        self._threads = concurrent.futures.ThreadPoolExecutor(os.cpu_count(), "read-ahead")
        # Else Python waits at its end until all is read that nobody is going to ask for.
        self._close = weakref.finalize(self, self._threads.shutdown, cancel_futures=True)

    def take(self, start, stop):
        """A list of what the steps `start <= step < stop` read."""
        if start < self._first:
            return [self._read(step) for step in range(start, stop)]
        for step in [step for step in self._kept if step < start]:
            self._kept.pop(step).cancel()
        self._first = start
        end = stop + self._count if self._steps is None else min(stop + self._count, self._steps)
        for step in range(start, end):
            if step not in self._kept:
                self._kept[step] = self._threads.submit(self._read, step)
        return [self._kept[step].result() for step in range(start, stop)]

    def close(self):
        """Ends the reading."""
        self._close()


def in_file_order(array, positions):
    """`array[positions]`; one sweep through the file of an array that is memory-mapped."""
    order = np.argsort(positions, kind="stable")
    rows = np.empty([len(positions), *array.shape[1:]], array.dtype)
    rows[order] = array[positions[order]]
    return rows
