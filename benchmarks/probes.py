"""What each probe costs, in gradients measured in the same run, beside the least possible.

VGG-11 at width 0.25, batch 128: `python benchmarks/probes.py`. Covariate shift is in training
steps, activations in forward passes.
"""

import keras
import numpy as np
import tensorflow as tf
from timing import median_milliseconds, print_table, ratio, seconds_in_turns
from train_step import BATCH_SIZE, images, loss, standardise

from bnkit import models, probes
from bnkit.data import Batches
from bnkit.probes.objective import Objective
from bnkit.settings import Settings
from bnkit.training import Trainer

ROUNDS = 9
STEP_SIZES = Settings().step_sizes
PRODUCTS = 4
PARTS = 4


def candidates(norm):
    """Name -> function; the training step is that of a trainer in the middle of its run."""
    split = images(BATCH_SIZE)
    model = models.vgg(norm, width=0.25, seed=0)
    trainer = Trainer(model, keras.optimizers.SGD(1e-6), loss(), prepare=standardise)
    batches = Batches(split, BATCH_SIZE, seed=0)
    batch = (tf.constant(standardise(split.x)), tf.constant(split.y))
    weights = [tf.constant(v.numpy()) for v in model.trainable_variables]
    generator = np.random.default_rng(0)
    moved = [w + 1e-3 * tf.constant(generator.normal(size=w.shape), w.dtype) for w in weights]

    def train():
        trainer.fit(batches, trainer.step + 10)

    def forward():
        objective = Objective(model, loss(), batch)
        return objective.replica_loss(objective.weights)

    def gradient():
        objective = Objective(model, loss(), batch)
        return tf.linalg.global_norm(objective.loss_and_gradient(objective.weights)[1])

    # As a trainer takes it: the parts are batches.
    batches_of_noise = tuple(tf.concat([values] * PARTS, 0) for values in batch)

    def curvature():
        # No tolerance: all products are made.
        return probes.curvature(model, loss(), batch, products=PRODUCTS, tolerance=0.0)

    functions = {
        "forward": forward,
        "gradient": gradient,
        "landscape": lambda: probes.landscape(model, loss(), batch, STEP_SIZES),
        "ics": lambda: probes.internal_covariate_shift(model, loss(), batch, moved)[1:],
        "random_landscape": lambda: probes.landscape(
            model, loss(), batch, STEP_SIZES, "random", seed=(0, 0)
        ),
        "activations": lambda: _tensors(probes.activations(model, batch)),
        "curvature": curvature,
        "gradient_noise": lambda: probes.gradient_noise(
            model, loss(), batches_of_noise, parts=PARTS
        ),
        "weights": lambda: probes.weights(model, loss(), batch, moved, 0.1)[1:],
    }
    if norm == "bn":
        functions["batch_norm_identity"] = lambda: probes.batch_norm_identity(model, loss(), batch)[
            1:
        ]
    train()
    compiled = {name: tf.function(f, autograph=False) for name, f in functions.items()}
    return {"10 training steps": train} | compiled


# Probe -> what it is counted in, how many of these it needs at least, and the most that it may take
# of that. The shift of one layer takes a gradient from that layer on: 4 steps is what the 11 take.
LEAST = {
    "landscape": ("gradient", len(STEP_SIZES) + 1, 1.2),
    "random_landscape": ("gradient", len(STEP_SIZES) + 1, 1.2),
    "ics": ("10 training steps", 0.4, 1.0),
    "activations": ("forward", 1, 1.2),
    # One gradient, and two for each product: one product more gives the sharpness.
    "curvature": ("gradient", 1 + 2 * (PRODUCTS + 1), 1.2),
    "gradient_noise": ("gradient", PARTS, 1.2),
    "weights": ("gradient", 1, 1.2),
    "batch_norm_identity": ("gradient", 1, 1.2),
}


def main():
    rows = []
    for norm in ("bn", "none"):
        functions = candidates(norm)
        seconds = seconds_in_turns(functions, ROUNDS)
        for name in functions:
            if name in LEAST:
                reference, least, most = LEAST[name]
                times = ratio(seconds, name, reference)
                rows.append(
                    {
                        "norm": norm,
                        "probe": name,
                        "ms": median_milliseconds(seconds, name),
                        "in units of": reference,
                        "takes": times,
                        "least": least,
                        "ratio": times / least,
                        "at most": most,
                    }
                )
    print_table(rows)


def _tensors(measured):
    return [value for value in tf.nest.flatten(measured) if tf.is_tensor(value)]


if __name__ == "__main__":
    main()
