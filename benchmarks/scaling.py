"""Time per step and per capture on 1, 2 and 4 logical devices, and what a strategy costs on one.

VGG-11 with batch norm at width 0.25, global batch 128: `python benchmarks/scaling.py`. Logical
devices share the cores of one processor, so that more of them make nothing faster: what is above 1
is what the replicas cost. `--width` and `--rounds` make it smaller.
"""

import argparse
import functools

import keras
import tensorflow as tf
from timing import median_milliseconds, print_table, ratio, seconds_in_turns
from train_step import BATCH_SIZE, images, loss, standardise

from bnkit import models, probes
from bnkit.data import Batches
from bnkit.training import Trainer

DEVICES = (1, 2, 4)
STEPS = 10
STEP_SIZES = (0.05, 0.2, 0.4)
# The most that a strategy may take of a step without one, on one device.
TARGET = 1.05


def mirrored(count):
    # TensorFlow numbers what replicas exchange from here on: those of two strategies of one process
    # must not meet.
    tf.distribute.MirroredStrategy._collective_key_base = 1_000_000 * count
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])


def made(width, strategy):
    """A function that trains for `STEPS` steps, and one for each capture, name -> function."""
    with strategy.scope():
        model, optimizer = models.vgg("bn", width=width, seed=0), keras.optimizers.SGD(1e-6)
    trainer = Trainer(model, optimizer, loss(), strategy=strategy, prepare=standardise)
    split = images(STEPS * BATCH_SIZE)
    batches = Batches(split, BATCH_SIZE, seed=0)
    trainer.fit(batches, 1)
    moved = [v.numpy() * 1.001 for v in model.trainable_variables]

    def shift(batch):
        return probes.internal_covariate_shift(model, trainer.loss_fn, batch, moved)[1:]

    def landscape(batch):
        return probes.landscape(model, trainer.loss_fn, batch, STEP_SIZES)

    captures = {
        "landscape": trainer.on_replicas(landscape),
        "ics": trainer.on_replicas(shift),
    }
    batch = trainer.batch()
    return {
        "step": lambda: trainer.fit(batches, trainer.step + STEPS),
        **{name: functools.partial(capture, *batch) for name, capture in captures.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--devices", type=int, nargs="+", default=DEVICES)
    options = parser.parse_args()
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * max(options.devices),
    )
    plain = made(options.width, tf.distribute.get_strategy())
    by_count = {count: made(options.width, mirrored(count)) for count in options.devices}
    rows = []
    for name in plain:
        candidates = {count: functions[name] for count, functions in by_count.items()}
        seconds = seconds_in_turns({"no strategy": plain[name], **candidates}, options.rounds)
        for count in ("no strategy", *by_count):
            rows.append(
                {
                    "of": name,
                    "devices": count,
                    "ms": median_milliseconds(seconds, count) / (STEPS if name == "step" else 1),
                    "ratio": ratio(seconds, count, "no strategy"),
                    "at most": TARGET if (name, count) == ("step", 1) else float("nan"),
                }
            )
    # Rows for 1 and 2 workers of `--strategy=multiworker` belong here: each worker is a process.
    print_table(rows)


if __name__ == "__main__":
    main()
