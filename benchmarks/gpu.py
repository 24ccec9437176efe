"""A step beside `Model.fit`, and captures, on a GPU: in float32, TF32 and bfloat16.

VGG-11 with batch norm, batch 128: `python benchmarks/gpu.py`. Without a GPU it says so in one line
and ends with 2. `--device=cpu` makes the same table at a tiny size, to try the script; numbers of
the CPU say nothing about a GPU, and TF32 is float32 there.
"""

import argparse
import functools
import sys

import keras
import numpy as np
import tensorflow as tf
from timing import median_milliseconds, print_table, ratio, seconds_in_turns
from train_step import BATCH_SIZE, Stopwatch, images, loss, standardise

from bnkit import models, probes
from bnkit.data import Batches
from bnkit.settings import Settings
from bnkit.training import Trainer

# Row -> the policy of the layers, and whether products may be made in TF32.
PRECISIONS = {
    "float32": ("float32", False),
    "TF32": ("float32", True),
    "bfloat16": ("mixed_bfloat16", False),
}
# Width, steps of a timing, rounds.
SIZES = {"gpu": (1.0, 50, 9), "cpu": (0.03, 2, 1)}
STEP_SIZES = Settings().step_sizes


def candidates(precision, width, steps, jit):
    """Name -> function, each of which gets the GPU to itself until its values have come back."""
    policy, takes_tf32 = PRECISIONS[precision]
    keras.config.set_dtype_policy(policy)
    split = images(steps * BATCH_SIZE)
    network = functools.partial(models.vgg, "bn", width=width, seed=0)
    model = network()
    trainer = Trainer(
        model, keras.optimizers.SGD(1e-6), loss(), prepare=standardise, jit_compile=jit
    )
    batches = Batches(split, BATCH_SIZE, seed=0)
    keras_model = network()
    keras_model.compile(keras.optimizers.SGD(1e-6), loss(), jit_compile=jit)
    inputs, watch = np.asarray(standardise(split.x)), Stopwatch()
    batch = tf.constant(inputs[:BATCH_SIZE]), tf.constant(split.y[:BATCH_SIZE])
    moved = [v.numpy() * 1.001 for v in model.trainable_variables]

    def fit():
        keras_model.fit(inputs, split.y, batch_size=BATCH_SIZE, verbose=0, callbacks=[watch])
        return watch.seconds

    captures = {
        "landscape": lambda: probes.landscape(model, loss(), batch, STEP_SIZES),
        "ics": lambda: probes.internal_covariate_shift(model, loss(), batch, moved)[1:],
        "curvature": lambda: probes.curvature(model, loss(), batch, products=4, tolerance=0.0),
    }

    def measured(capture):
        return [value.numpy() for value in capture()]

    functions = {
        "step": lambda: trainer.fit(batches, trainer.step + steps),
        "Model.fit": fit,
        **{
            name: functools.partial(measured, tf.function(capture, autograph=False))
            for name, capture in captures.items()
        },
    }
    return {name: functools.partial(_with_tf32, takes_tf32, f) for name, f in functions.items()}


def _with_tf32(takes_tf32, function):
    tf.config.experimental.enable_tensor_float_32_execution(takes_tf32)
    return function()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=SIZES, default="gpu")
    parser.add_argument("--jit", action="store_true", help="compile the steps with XLA")
    options = parser.parse_args()
    gpus = tf.config.list_physical_devices("GPU")
    if options.device == "gpu" and not gpus:
        print("gpu.py: there is no GPU here; --device=cpu tries the script", file=sys.stderr)
        return 2
    if options.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    width, steps, rounds = SIZES[options.device]
    rows = []
    for precision in PRECISIONS:
        functions = candidates(precision, width, steps, options.jit)
        seconds = seconds_in_turns(functions, rounds)
        rows.append(
            {
                "precision": precision,
                "ms/step": median_milliseconds(seconds, "step") / steps,
                "Model.fit ms/step": median_milliseconds(seconds, "Model.fit") / steps,
                "ratio": ratio(seconds, "step", "Model.fit"),
                **{
                    f"{name} ms": median_milliseconds(seconds, name)
                    for name in ("landscape", "ics", "curvature")
                },
            }
        )
    print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
