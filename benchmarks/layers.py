"""Every normalisation forward and backward, as a ratio to Keras's BatchNormalization.

In the same run, taking turns: `python benchmarks/layers.py`. All gradients are taken, of the inputs
and of scale and shift. Weight normalisation is left out: it does nothing to activations.
"""

import keras
import tensorflow as tf
from timing import median_milliseconds, print_table, ratio, seconds_in_turns

from bnkit import layers

ROUNDS = 15
# Shape -> repetitions of a call, and the target by name.
SHAPES = {(128, 32, 32, 64): 3, (128, 512): 200}
TARGETS = {
    (128, 32, 32, 64): {"bn": 0.45, "l1": 0.9, "l2": 0.9, "linf": 0.9},
    (128, 512): dict.fromkeys(("bn", "l1", "l2", "linf"), 1.1),
}


def forward_and_backward(layer, shape, repetitions):
    layer.build(shape)
    x, gradient = tf.random.normal(shape, seed=0), tf.random.normal(shape, seed=1)

    @tf.function
    def once():
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
        sources = [x, *(v.value for v in layer.trainable_variables)]
        return tape.gradient(outputs, sources, output_gradients=gradient)

    def run():
        for _ in range(repetitions):
            once()

    return run


def main():
    for shape, repetitions in SHAPES.items():
        candidates = {
            "keras": keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            **{
                name: layers.get(name)()
                for name in layers.names()
                if name not in ("none", "weight")
            },
        }
        seconds = seconds_in_turns(
            {
                name: forward_and_backward(layer, shape, repetitions)
                for name, layer in candidates.items()
            },
            ROUNDS,
        )
        print(f"\n{list(shape)}")
        print_table(
            [
                {
                    "norm": name,
                    "ms": median_milliseconds(seconds, name) / repetitions,
                    "ratio": ratio(seconds, name, "keras"),
                    "at most": TARGETS[shape].get(name, ""),
                }
                for name in candidates
            ]
        )


if __name__ == "__main__":
    main()
