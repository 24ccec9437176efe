"""The share of reading in a step: of training images in memory, and of streamed ones.

`python benchmarks/input.py`: VGG-11 at width 0.25, batch 128, on the glyphs, decoded in the cache
and as 4,000 PNG files that are streamed, each with and without augmentation. The share is the time
that a step waits for its batch. Threads that decode meanwhile take cores from the arithmetic, too:
the last column is the whole step, in steps of the decoded set without augmentation, in turns.
"""

import contextlib
import pathlib
import tempfile
import time

import keras
import numpy as np
import PIL.Image
from timing import print_table
from train_step import BATCH_SIZE, loss

from bnkit import data, models
from bnkit.training import Trainer

FILES = 4000
STEPS = 20
ROUNDS = 7
MOST = {"decoded": 0.03, "streamed": 0.10}


def write_files(folder):
    """The first glyphs as files, in folders of their classes."""
    glyphs = data.load("glyphs")
    for role, split, count in (("train", glyphs.train, FILES), ("test", glyphs.test, 100)):
        for i in range(count):
            path = pathlib.Path(folder, role, str(split.y[i]), f"{i:05}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(split.x[i]).save(path)


class Candidate:
    """Steps of a trainer in the middle of its run."""

    def __init__(self, dataset, augment):
        model = models.vgg("none", width=0.25, seed=0)
        self.trainer = Trainer(model, keras.optimizers.SGD(1e-6), loss(), prepare=dataset.prepare)
        self.batches = data.Batches(dataset.train, BATCH_SIZE, seed=0, augment=augment)
        self.seconds, self.shares = [], []

    def train(self):
        clock = self.trainer.clock
        before, start = clock.seconds.get("data", 0), time.perf_counter()
        self.trainer.fit(self.batches, self.trainer.step + STEPS)
        passed = time.perf_counter() - start
        self.seconds.append(passed / STEPS)
        self.shares.append((clock.seconds["data"] - before) / passed)


def main():
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        write_files(folder)
        candidates = {}
        for input in MOST:
            dataset = data.load(folder, input=input)
            for augment in ((), ("crop", "flip")):
                candidate = Candidate(dataset, augment)
                stack.enter_context(contextlib.closing(candidate.batches))
                candidates[input, augment] = candidate
        for candidate in candidates.values():
            candidate.train()
            candidate.seconds, candidate.shares = [], []
        for _ in range(ROUNDS):
            for candidate in candidates.values():
                candidate.train()
    reference = candidates["decoded", ()].seconds
    print_table(
        [
            {
                "input": input,
                "augment": ",".join(augment) or "-",
                "ms a step": 1000 * np.median(one.seconds),
                "share %": 100 * np.median(one.shares),
                "at most %": 100 * MOST[input],
                "steps": np.median(np.divide(one.seconds, reference)),
            }
            for (input, augment), one in candidates.items()
        ]
    )


if __name__ == "__main__":
    main()
