"""Which images make up the batch of a training step."""

import numpy as np

from bnkit.data.streams import Ahead, Stream, in_file_order

# Tells the random numbers of augmentation from those of permutations.
_AUGMENTING = 1
# Images are shifted by up to this part of their size.
_SHIFT = 8


class Batches:
    """Shuffled batches of a split; the batch of any step can be asked for at any time.

    The batch of a step is a function of the seed and the step alone, so a resumed run sees the
    same batches as one that was not interrupted, and no state has to be saved. Every epoch uses
    a new permutation; samples left over at its end, fewer than a batch, are dropped. If a batch
    holds all samples, they stay in their own order at every step.

    Args:
        split: Where the samples come from.
        batch_size: Samples in a batch, 1 to `len(split)`.
        seed: Non-negative integer.
        augment: What is done to the images of a batch, "crop" and "flip": see `augmented`.
        reads_ahead: Whether batches are read and augmented while earlier ones are in use, which
            makes the same batches. A `Stream` always is.

    Raises:
        ValueError: If `batch_size` or `seed` is out of range, or if what is to be augmented are no
            images.
    """

    def __init__(self, split, batch_size, seed, augment=(), reads_ahead=False):
        if not 1 <= batch_size <= len(split):
            raise ValueError(
                f"batch_size must lie in 1 to {len(split)}, the number of samples in the split. "
                f"Received: batch_size={batch_size}"
            )
        if seed < 0:
            raise ValueError(f"seed must not be negative. Received: seed={seed}")
        if augment and split.x.ndim != 4:
            raise ValueError(
                "Only images [n, height, width, channels] can be augmented. "
                f"Received: augment={augment!r} and samples of shape {split.x.shape[1:]}"
            )
        self.split = split
        self.augment = augment
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = len(split) // batch_size
        self._permutations = {}
        self._ahead = None
        if reads_ahead or isinstance(split.x, Stream):
            self._ahead = Ahead(self._inputs, batch_size * split.x.nbytes // len(split))

    def indices(self, step):
        """The positions in the split, `[batch_size]`, of the samples used at a step >= 0."""
        if step < 0:
            raise ValueError(f"step must not be negative. Received: step={step}")
        epoch, position = divmod(step, self.steps_per_epoch)
        permutation = self._permutations.get(epoch)
        if permutation is None:
            permutation = self._permute(epoch)
            # That of another epoch is kept: reading ahead, threads are in two epochs at a time.
            others = list(self._permutations.items())[-1:]
            self._permutations = dict([*others, (epoch, permutation)])
        return permutation[position * self.batch_size :][: self.batch_size]

    def stack(self, start, stop):
        """The batches of the steps `start <= step < stop`, in memory.

        Returns:
            Inputs and targets, `[stop - start, batch_size, ...]`, of the split's own types.
        """
        if not 0 <= start < stop:
            raise ValueError(
                f"start and stop must satisfy 0 <= start < stop. Received: {start=}, {stop=}"
            )
        if self._ahead is not None:
            chosen = np.stack([self.indices(step) for step in range(start, stop)])
            return np.stack(self._ahead.take(start, stop)), np.asarray(self.split.y)[chosen]
        batches = (stop - start, self.batch_size)
        if self.batch_size == len(self.split) and not self.augment:
            return tuple(np.broadcast_to(a, (*batches, *a.shape[1:])) for a in self._arrays())
        chosen = np.concatenate([self.indices(step) for step in range(start, stop)])
        x, y = (
            in_file_order(array, chosen).reshape(*batches, *array.shape[1:])
            for array in self._arrays()
        )
        if self.augment:
            for position, step in enumerate(range(start, stop)):
                x[position] = self._augmented(step, x[position])
        return x, y

    def _arrays(self):
        return self.split.x, self.split.y

    def _augmented(self, step, x):
        return augmented(x, self.augment, np.random.default_rng([self.seed, step, _AUGMENTING]))

    def _inputs(self, step):
        """The inputs of one step, read now."""
        x = in_file_order(self.split.x, self.indices(step))
        return self._augmented(step, x) if self.augment else x

    def close(self):
        """Ends the reading ahead."""
        if self._ahead is not None:
            self._ahead.close()

    def _permute(self, epoch):
        if self.batch_size == len(self.split):
            return np.arange(len(self.split))
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.split))


def augmented(images, kinds, generator):
    """Images as if they had been taken anew: their content is the same, and their place is not.

    Args:
        images: `[n, height, width, channels]`.
        kinds: "crop" shifts each image by up to an eighth of its height and width, up or down and
            to the left or right, with black beyond its edges (He et al. 2016, section 4.2: 4 of 32
            pixels); "flip" mirrors each with probability 1/2.
        generator: A NumPy random generator.

    Returns:
        An array of the same shape and type.
    """
    count, height, width, _ = images.shape
    if "crop" in kinds:
        down, right = height // _SHIFT, width // _SHIFT
        padded = np.pad(images, ((0, 0), (down, down), (right, right), (0, 0)))
        tops = generator.integers(0, 2 * down + 1, count)
        lefts = generator.integers(0, 2 * right + 1, count)
        images = np.empty_like(images)
        # Slices: one index for every pixel takes ten times as long.
        for image, source, top, left in zip(images, padded, tops, lefts, strict=True):
            image[:] = source[top : top + height, left : left + width]
    if "flip" in kinds:
        mirrored = generator.random(count) < 0.5
        images = images.copy()
        images[mirrored] = images[mirrored, :, ::-1]
    return images
