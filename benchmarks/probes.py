"""What a probe costs, in gradient evaluations and training steps measured in the same run.

VGG-11 at width 0.25, batch 128: `python benchmarks/probes.py`.
"""

import keras
import numpy as np
import tensorflow as tf
from timing import median_milliseconds, print_table, ratio, seconds_in_turns
from train_step import BATCH_SIZE, images, loss, standardise

from bnkit import models, probes
from bnkit.data import Batches
from bnkit.probes.objective import Objective
from bnkit.settings import DEFAULTS
from bnkit.training import Trainer

ROUNDS = 9
STEP_SIZES = DEFAULTS["vgg11"]["step_sizes"]


def candidates(norm):
    """Name -> function; the training step is that of a trainer in the middle of its run."""
    split = images(BATCH_SIZE)
    model = models.vgg(norm, width=0.25, seed=0)
    trainer = Trainer(model, keras.optimizers.SGD(1e-6), loss(), prepare=standardise)
    batches = Batches(split, BATCH_SIZE, seed=0)
    batch = (tf.constant(standardise(split.x)), tf.constant(split.y))
    steps = 10

    def train():
        trainer.fit(batches, trainer.step + steps)

    @tf.function(autograph=False)
    def gradient():
        objective = Objective(model, loss(), batch)
        return tf.linalg.global_norm(objective.loss_and_gradient(objective.weights)[1])

    def gradients():
        for _ in range(len(STEP_SIZES) + 1):
            gradient()

    @tf.function(autograph=False)
    def landscape():
        return probes.landscape(model, loss(), batch, STEP_SIZES)

    weights = [tf.constant(v.numpy()) for v in model.trainable_variables]
    moved = [w + 1e-3 * tf.constant(np.random.default_rng(0).normal(size=w.shape), w.dtype)
             for w in weights]  # fmt: skip

    @tf.function(autograph=False)
    def covariate_shift():
        measured = probes.internal_covariate_shift(model, loss(), batch, moved)
        return measured.l2, measured.cosine

    functions = {
        "10 training steps": train,
        "9 gradients": gradients,
        "landscape": landscape,
        "ics": covariate_shift,
    }
    train()
    return functions


def main():
    rows = []
    for norm in ("bn", "none"):
        seconds = seconds_in_turns(candidates(norm), ROUNDS)
        for name, reference, unit, target in (
            ("landscape", "9 gradients", 1, 1.15),
            ("ics", "10 training steps", 10, 4.0),
        ):
            rows.append(
                {
                    "norm": norm,
                    "probe": name,
                    "ms": median_milliseconds(seconds, name),
                    "in units of": reference if unit == 1 else "1 training step",
                    "ratio": ratio(seconds, name, reference) * unit,
                    "at most": target,
                }
            )
    print_table(rows)


if __name__ == "__main__":
    main()
