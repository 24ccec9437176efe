"""A training step, a landscape and a capture of covariate shift, against the same in PyTorch.

The same network (VGG-11, width 0.25), weights and batch of 128, as a careful user would write it;
results agree to 1e-4. `pip install -e ".[peers]"`, then `python benchmarks/peers.py`. The two take
turns, each on all cores, and beside them stands what the machine can do: a product of large
matrices, in the same minutes.
"""

import keras
import numpy as np
import tensorflow as tf
import torch
from timing import median_milliseconds, print_table, ratio, seconds_in_turns
from torch.nn import functional
from train_step import BATCH_SIZE, images, loss, standardise

from bnkit import models, probes
from bnkit.data import Batches
from bnkit.settings import Settings
from bnkit.training import Trainer

ROUNDS = 9
STEPS = 5
WIDTH = 0.25
LR = 0.01
STEP_SIZES = Settings().step_sizes
TARGETS = {
    ("none", "step"): 0.65, ("none", "landscape"): 0.5, ("none", "ics"): 0.5,
    ("bn", "step"): 0.8, ("bn", "landscape"): 0.5, ("bn", "ics"): 0.5,
}  # fmt: skip
# Arithmetic of a training step of this network, in units of 1e9, and the edge of the large product.
_STEP_GFLOP = 7.6
_EDGE = 2048


class Peer:
    """The network in PyTorch, with the weights of a Keras model."""

    def __init__(self, model, x, y):
        self.x = torch.tensor(np.transpose(x, (0, 3, 1, 2)).copy()).to(
            memory_format=torch.channels_last
        )
        self.y = torch.tensor(y.astype(np.int64))
        self.stages = []
        for layer in model.layers:
            if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
                kernel, bias = layer.get_weights()
                order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
                self.stages.append(
                    [self._parameter(np.transpose(kernel, order)), self._parameter(bias)]
                )
            elif layer.name.startswith("norm"):
                self.stages[-1] += [self._parameter(v) for v in layer.get_weights()[:2]]
        self.pooled = [
            model.layers[i + 1].name.startswith("pool")
            for i, layer in enumerate(model.layers)
            if layer.name.startswith("relu")
        ] + [False]

    @staticmethod
    def _parameter(values):
        tensor = torch.tensor(np.ascontiguousarray(values))
        if tensor.ndim == 4:
            tensor = tensor.to(memory_format=torch.channels_last)
        return tensor.requires_grad_()

    @property
    def parameters(self):
        return [parameter for stage in self.stages for parameter in stage]

    def loss(self, stages):
        x = self.x
        for i, (kernel, bias, *norm) in enumerate(stages):
            if kernel.ndim == 4:
                x = functional.conv2d(x, kernel, bias, padding=1)
            else:
                x = functional.linear(x.flatten(1) if x.ndim == 4 else x, kernel, bias)
            if norm:
                x = functional.batch_norm(x, None, None, *norm, training=True, eps=1e-5)
            if i < len(stages) - 1:
                x = functional.relu(x)
            if self.pooled[i]:
                x = functional.max_pool2d(x, 2)
        return functional.cross_entropy(x, self.y)

    def step(self):
        loss = self.loss(self.stages)
        with torch.no_grad():
            for parameter, gradient in zip(
                self.parameters, torch.autograd.grad(loss, self.parameters), strict=True
            ):
                parameter -= LR * gradient
        return float(loss.detach())

    def landscape(self):
        """The loss after each step along the gradient, and how far the gradient is from its own."""
        gradient = torch.autograd.grad(self.loss(self.stages), self.parameters)
        losses, distances = [], []
        for size in STEP_SIZES:
            moved = self._moved([-size * g for g in gradient])
            value = self.loss(moved)
            there = torch.autograd.grad(value, [p for stage in moved for p in stage])
            losses.append(float(value.detach()))
            distances.append(
                float(
                    sum(((a - b) ** 2).sum() for a, b in zip(there, gradient, strict=True)) ** 0.5
                )
            )
        return losses + distances

    def ics(self):
        """`||G - G'||` of each weight layer, after an update of the layers before it."""
        loss = self.loss(self.stages)
        gradient = torch.autograd.grad(loss, self.parameters)
        after = self._moved([-LR * g for g in gradient])
        shifts, position = [], 0
        for number, stage in enumerate(self.stages):
            # This layer's gradient alone: autograd goes back no further.
            mixed = [[p.detach() for p in s] for s in (*after[:number], *self.stages[number:])]
            own = mixed[number]
            for parameter in own:
                parameter.requires_grad_()
            there = torch.autograd.grad(self.loss(mixed), own)
            here = gradient[position : position + len(stage)]
            shifts.append(
                float(sum(((a - b) ** 2).sum() for a, b in zip(here, there, strict=True)) ** 0.5)
            )
            position += len(stage)
        return shifts

    def _moved(self, by):
        moves = iter(by)
        return [
            [(p + next(moves)).detach().requires_grad_() for p in stage] for stage in self.stages
        ]


def pair(norm):
    """Name -> (bnkit, PyTorch), each a function; the results of both are compared first."""
    split = images(BATCH_SIZE)
    x = np.asarray(standardise(split.x))
    model = models.vgg(norm, width=WIDTH, seed=0)
    peer = Peer(model, x, split.y)
    batch = (tf.constant(x), tf.constant(split.y))
    landscape = tf.function(
        lambda: probes.landscape(model, loss(), batch, STEP_SIZES), autograph=False
    )
    shift = tf.function(
        lambda moved: probes.internal_covariate_shift(model, loss(), batch, moved).l2,
        autograph=False,
    )

    def ics():
        # What an update leaves behind: known in training, where it costs nothing.
        return shift(moved).numpy().tolist()

    def both():
        found = landscape()
        return [*found.losses.numpy().tolist(), *found.gradient_distances.numpy().tolist()]

    with tf.GradientTape() as tape:
        value = loss()(batch[1], model(batch[0], training=True))
    gradient = tape.gradient(value, [v.value for v in model.trainable_variables])
    moved = [v.value - LR * g for v, g in zip(model.trainable_variables, gradient, strict=True)]
    for name, ours, theirs in (("landscape", both, peer.landscape), ("ics", ics, peer.ics)):
        np.testing.assert_allclose(ours(), theirs(), rtol=1e-4, atol=1e-6, err_msg=name)
    trained = models.vgg(norm, width=WIDTH, seed=0)
    trainer = Trainer(trained, keras.optimizers.SGD(LR), loss(), prepare=standardise)
    batches = Batches(split, BATCH_SIZE, seed=0)

    stepping = Peer(trained, x, split.y)
    trainer.fit(batches, 1)
    expected = stepping.step()
    np.testing.assert_allclose(float(value), expected, rtol=1e-4, err_msg="step")

    def step():
        trainer.fit(batches, trainer.step + STEPS)

    def their_step():
        for _ in range(STEPS):
            stepping.step()

    return {
        "step": (step, their_step, STEPS),
        "landscape": (both, peer.landscape, 1),
        "ics": (ics, peer.ics, 1),
    }


def product():
    matrix = tf.random.normal((_EDGE, _EDGE))
    multiply = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    return lambda: multiply().numpy()


def main():
    rows = []
    for norm in ("none", "bn"):
        candidates, counts = {"product": product()}, {}
        for name, (ours, theirs, count) in pair(norm).items():
            candidates |= {f"bnkit {name}": ours, f"PyTorch {name}": theirs}
            counts[name] = count
        seconds = seconds_in_turns(candidates, ROUNDS)
        gflops = 2 * _EDGE**3 / 1e6 / median_milliseconds(seconds, "product")
        rows += [
            {
                "norm": norm,
                "what": name,
                "bnkit ms": median_milliseconds(seconds, f"bnkit {name}") / count,
                "PyTorch ms": median_milliseconds(seconds, f"PyTorch {name}") / count,
                "ratio": ratio(seconds, f"bnkit {name}", f"PyTorch {name}"),
                "at most": TARGETS[norm, name],
            }
            for name, count in counts.items()
        ]
        print(
            f"{norm}: {gflops:.0f} GFLOP/s in a large product: "
            f"a step takes at least {1e3 * _STEP_GFLOP / gflops:.0f} ms"
        )
    print_table(rows)


if __name__ == "__main__":
    main()
