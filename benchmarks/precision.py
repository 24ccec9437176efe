"""A step and a landscape in float32, bfloat16 and float16, and how far what is measured lies apart.

VGG-11 at width 0.25, batch 128, with batch norm and without: `python benchmarks/precision.py`. All
precisions measure one batch at the same weights, those after some steps in float32. The distances
are relative to float32: of the loss, the gradient's norm, and the largest over the step sizes of
the loss and of the gradient's change. `--width` and `--rounds` make it smaller.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from timing import median_milliseconds, print_table, ratio, seconds_in_turns
from train_step import BATCH_SIZE, images, loss, standardise

from bnkit import models, probes
from bnkit.data import Batches
from bnkit.settings import Settings
from bnkit.training import Trainer

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
STEP_SIZES = Settings().step_sizes
STEPS = 10


class Run:
    """A trainer of a precision, and the landscape of its network."""

    def __init__(self, precision, norm, width):
        keras.config.set_dtype_policy(POLICIES[precision])
        self._split = images(STEPS * BATCH_SIZE)
        optimizer = keras.optimizers.SGD(1e-6)
        if precision == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self.trainer = Trainer(
            models.vgg(norm, width=width, seed=0), optimizer, loss(), prepare=standardise
        )
        self._batches = Batches(self._split, BATCH_SIZE, seed=0)
        self.step()
        self._landscape = tf.function(
            lambda x, y: probes.landscape(
                self.trainer.model, loss(), (standardise(x), y), STEP_SIZES
            ),
            autograph=False,
        )

    def step(self):
        self.trainer.fit(self._batches, self.trainer.step + STEPS)

    def landscape(self):
        split = self._split
        measured = self._landscape(split.x[:BATCH_SIZE], split.y[:BATCH_SIZE])
        return {name: value.numpy() for name, value in measured._asdict().items()}


def distances(measured, exact):
    """Relative distances of a landscape from an exact one, as `print_table` shows them."""

    def apart(name):
        return float(np.max(np.abs(measured[name] - exact[name]) / np.abs(exact[name])))

    names = ("loss", "gradient_norm", "losses", "gradient_distances", "smoothness")
    return {f"{name} apart": f"{apart(name):.1e}" for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    rows = []
    for norm in ("none", "bn"):
        runs = {precision: Run(precision, norm, options.width) for precision in POLICIES}
        steps = seconds_in_turns({p: run.step for p, run in runs.items()}, options.rounds)
        # At the same weights from here on.
        for run in runs.values():
            run.trainer.model.set_weights(runs["float32"].trainer.model.get_weights())
        captures = seconds_in_turns({p: run.landscape for p, run in runs.items()}, options.rounds)
        exact = runs["float32"].landscape()
        for precision, run in runs.items():
            rows.append(
                {
                    "norm": norm,
                    "precision": precision,
                    "ms/step": median_milliseconds(steps, precision) / STEPS,
                    "ratio": ratio(steps, precision, "float32"),
                    "ms/landscape": median_milliseconds(captures, precision),
                    "its ratio": ratio(captures, precision, "float32"),
                    **distances(run.landscape(), exact),
                }
            )
    print_table(rows)


if __name__ == "__main__":
    main()
