"""Which images make up the batch of a training step."""

import numpy as np


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

    Raises:
        ValueError: If `batch_size` or `seed` is out of range.
    """

    def __init__(self, split, batch_size, seed):
        if not 1 <= batch_size <= len(split):
            raise ValueError(
                f"batch_size must lie in 1 to {len(split)}, the number of samples in the split. "
                f"Received: batch_size={batch_size}"
            )
        if seed < 0:
            raise ValueError(f"seed must not be negative. Received: seed={seed}")
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = len(split) // batch_size
        self._epoch, self._permutation = 0, self._permute(0)

    def indices(self, step):
        """The positions in the split, `[batch_size]`, of the samples used at a step >= 0."""
        if step < 0:
            raise ValueError(f"step must not be negative. Received: step={step}")
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, self._permute(epoch)
        return self._permutation[position * self.batch_size :][: self.batch_size]

    def stack(self, start, stop):
        """The batches of the steps `start <= step < stop`, in memory.

        Returns:
            Inputs and targets, `[stop - start, batch_size, ...]`, of the split's own types.
        """
        if not 0 <= start < stop:
            raise ValueError(
                f"start and stop must satisfy 0 <= start < stop. Received: {start=}, {stop=}"
            )
        batches = (stop - start, self.batch_size)
        if self.batch_size == len(self.split):
            return tuple(np.broadcast_to(a, (*batches, *a.shape[1:])) for a in self._arrays())
        chosen = np.concatenate([self.indices(step) for step in range(start, stop)])
        # Reading in file order turns random access to a memory-mapped split into one sweep.
        order = np.argsort(chosen, kind="stable")
        stacks = []
        for array in self._arrays():
            stack = np.empty([len(chosen), *array.shape[1:]], array.dtype)
            stack[order] = array[chosen[order]]
            stacks.append(stack.reshape(*batches, *array.shape[1:]))
        return tuple(stacks)

    def _arrays(self):
        return self.split.x, self.split.y

    def _permute(self, epoch):
        if self.batch_size == len(self.split):
            return np.arange(len(self.split))
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.split))
