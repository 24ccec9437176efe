"""Steps per second of the deep linear network, against `keras.Model.fit` of the same, in turns.

25 layers of 10 units, 1000 samples, full batch: `python benchmarks/small_steps.py`. `Model.fit`
runs at the best of several `steps_per_execution`; with `bn` it has Keras's own BatchNormalization.
For `none` there is also a loop written by hand, with the 74 products of a step and its updates and
nothing else: what is left to gain.
"""

import keras
import numpy as np
import tensorflow as tf
from timing import print_table, ratio, seconds_in_turns

from bnkit import layers, models
from bnkit.data import Batches, load_gaussian
from bnkit.losses import HalfSquaredError
from bnkit.training import Trainer

STEPS = 400
ROUNDS = 5
STEPS_PER_EXECUTION = (1, 20, 400)
NORMS = ("none", "bn", "l1", "l2", "linf")
TARGETS = {"none": 3.0}


def bnkit_steps(norm, dataset):
    trainer = Trainer(
        models.deep_linear(norm, seed=0), keras.optimizers.SGD(1e-7), HalfSquaredError()
    )
    batches = Batches(dataset.train, len(dataset.train), seed=0)
    trainer.fit(batches, 2)

    def run():
        trainer.fit(batches, trainer.step + STEPS)

    return run


def keras_steps(norm, dataset, steps_per_execution):
    def batch_norm(name):
        return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)

    factory = batch_norm if norm == "bn" else layers.get(norm)
    model = models.deep_linear(factory, seed=0)
    model.compile(
        keras.optimizers.SGD(1e-7),
        HalfSquaredError(),
        jit_compile=False,
        steps_per_execution=steps_per_execution,
    )
    one = tf.data.Dataset.from_tensors((dataset.train.x, dataset.train.y))
    data = one.cache().repeat(STEPS)

    def run():
        model.fit(data, steps_per_epoch=STEPS, shuffle=False, verbose=0)

    return run


def bare_steps(dataset):
    model = models.deep_linear("none", seed=0)
    weights = [tf.Variable(v.numpy()) for v in model.trainable_variables]
    x, y = tf.constant(dataset.train.x), tf.constant(dataset.train.y)

    @tf.function
    def run():
        for _ in tf.range(STEPS):
            with tf.GradientTape() as tape:
                outputs = x
                for weight in weights:
                    outputs = outputs @ weight
                loss = tf.nn.l2_loss(outputs - y)
            for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
                weight.assign_sub(1e-7 * gradient)
        return weights[0][0, 0]

    return lambda: run().numpy()


def main():
    dataset = load_gaussian(1000, 10, seed=0)
    rows = []
    for norm in NORMS:
        candidates = {"bnkit": bnkit_steps(norm, dataset)} | {
            f"fit {n}": keras_steps(norm, dataset, n) for n in STEPS_PER_EXECUTION
        }
        if norm == "none":
            candidates["by hand"] = bare_steps(dataset)
        seconds = seconds_in_turns(candidates, ROUNDS)
        best = min((n for n in candidates if n.startswith("fit")), key=lambda n: min(seconds[n]))
        rows.append(
            {
                "norm": norm,
                "bnkit steps/s": STEPS / float(np.median(seconds["bnkit"])),
                "Model.fit steps/s": STEPS / float(np.median(seconds[best])),
                "steps_per_execution": int(best.split()[1]),
                "times faster": ratio(seconds, best, "bnkit"),
                "at least": TARGETS.get(norm, 1.0),
                "than fit 1": ratio(seconds, "fit 1", "bnkit"),
                "by hand": ratio(seconds, "by hand", "bnkit") if norm == "none" else float("nan"),
            }
        )
    print_table(rows)


if __name__ == "__main__":
    main()
