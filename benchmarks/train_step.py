"""A training step of bnkit against `keras.Model.fit` of the same network, in the same run.

And a step of VGG-11 with every normalisation against one without.

VGG-11 at width 0.25, ResNet-20 and a small vision transformer at width 0.5, batch 128, plain SGD:
`python benchmarks/train_step.py`. Keras trains with its own normalisation, jit off, on images that
are standardised already.
"""

import time

import keras
import numpy as np
from timing import median_milliseconds, print_table, ratio, seconds_in_turns

from bnkit import models
from bnkit.data import Batches, Split
from bnkit.training import Trainer

STEPS = 20
ROUNDS = 9
BATCH_SIZE = 128
# Network and normalisation -> the most that a step may take of Keras's.
TARGETS = {
    ("vgg11", "bn"): 0.9,
    ("vgg11", "none"): 1.0,
    ("resnet20", "bn"): 1.0,
    ("vit_tiny", "layer"): 1.0,
}
# Normalisation of VGG-11 -> the most that a step may take of one without.
OF_NONE = {
    "bn": 1.35, "noisy_bn": 1.7, "l1": 1.5, "l2": 1.5, "linf": 1.5,
    "layer": "", "group": "", "instance": "", "rms": "",
}  # fmt: skip
NETWORKS = {
    "vgg11": lambda norm: models.vgg(norm, width=0.25, seed=0),
    "resnet20": lambda norm: models.resnet(norm, depth=20, width=0.5, seed=0),
    "vit_tiny": lambda norm: models.vision_transformer(norm, width=0.5, seed=0),
}
KERAS = {
    "bn": lambda name: keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name),
    "layer": lambda name: keras.layers.LayerNormalization(epsilon=1e-5, name=name),
}


def images(samples):
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (samples, 32, 32, 3), dtype=np.uint8)
    return Split(x, generator.integers(0, 10, samples, dtype=np.int32))


def standardise(x):
    return keras.ops.cast(x, "float32") / 64 - 2


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def bnkit_steps(norm, split, network="vgg11"):
    trainer = Trainer(
        NETWORKS[network](norm),
        keras.optimizers.SGD(0.01),
        loss(),
        prepare=standardise,
        metrics={"accuracy": keras.metrics.sparse_categorical_accuracy},
    )
    batches = Batches(split, BATCH_SIZE, seed=0)
    trainer.fit(batches, 1)

    def run():
        trainer.fit(batches, trainer.step + STEPS)

    return run


class Stopwatch(keras.callbacks.Callback):
    """Seconds from the begin of the first batch to the end of the last."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds = time.perf_counter() - self.start


def keras_steps(norm, split, network):
    model = NETWORKS[network](None if norm == "none" else KERAS[norm])
    model.compile(
        optimizer=keras.optimizers.SGD(0.01), loss=loss(), metrics=["accuracy"], jit_compile=False
    )
    x = np.asarray(standardise(split.x))
    watch = Stopwatch()

    def run():
        model.fit(x, split.y, batch_size=BATCH_SIZE, verbose=0, callbacks=[watch])
        return watch.seconds

    return run


def main():
    split = images(STEPS * BATCH_SIZE)
    rows = []
    for (network, norm), target in TARGETS.items():
        candidates = {
            "bnkit": bnkit_steps(norm, split, network),
            "keras": keras_steps(norm, split, network),
        }
        seconds = seconds_in_turns(candidates, ROUNDS)
        rows.append(
            {
                "network": network,
                "norm": norm,
                "bnkit ms/step": median_milliseconds(seconds, "bnkit") / STEPS,
                "Model.fit ms/step": median_milliseconds(seconds, "keras") / STEPS,
                "ratio": ratio(seconds, "bnkit", "keras"),
                "at most": target,
            }
        )
    print_table(rows)
    candidates = {norm: bnkit_steps(norm, split) for norm in ("none", *OF_NONE)}
    seconds = seconds_in_turns(candidates, ROUNDS)
    print_table(
        [
            {
                "norm": norm,
                "ms/step": median_milliseconds(seconds, norm) / STEPS,
                "of none": ratio(seconds, norm, "none"),
                "at most": target,
            }
            for norm, target in OF_NONE.items()
        ]
    )


if __name__ == "__main__":
    main()
