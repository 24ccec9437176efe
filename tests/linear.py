"""The deep linear network with its sum loss, in formulas and as a small training task.

Weights are `P = X W_1 W_2 ... W_k`, the loss `L = ||P - Y||^2 / 2`, so that
`dL/dW_i = (X W_1 ... W_{i-1})' (P - Y) (W_{i+1} ... W_k)'`.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from bnkit import callbacks, layers, models
from bnkit.data import Batches, load_gaussian
from bnkit.losses import HalfSquaredError
from bnkit.training import Trainer


def product(matrices, dim):
    return functools.reduce(np.matmul, matrices, np.eye(dim))


def loss_and_gradients(weights, x, y):
    """In float64, from the formula above."""
    weights = [np.asarray(w, np.float64) for w in weights]
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    dim = x.shape[1]
    residual = x @ product(weights, dim) - y
    gradients = [
        (x @ product(weights[:i], dim)).T @ residual @ product(weights[i + 1 :], dim).T
        for i in range(len(weights))
    ]
    return 0.5 * (residual**2).sum(), gradients


def batch_of(samples=24, dim=4, seed=0):
    train = load_gaussian(samples, dim, seed).train
    return train.x, train.y


def values_of(model):
    return [v.numpy() for v in model.trainable_variables]


def dln_trainer(norm="none", *, depth=3, dim=4, lr=1e-3, seed=1, strategy=None, optimizer=None):
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        factory = layers.synchronized(layers.get(norm))
        model = models.deep_linear(factory, depth, dim, seed=seed)
        optimizer = optimizer() if optimizer else keras.optimizers.SGD(lr)
    return Trainer(model, optimizer, HalfSquaredError(), strategy=strategy)


def full_batches(samples=24, dim=4, seed=0):
    split = load_gaussian(samples, dim, seed).train
    return Batches(split, samples, seed=seed)


class Values(callbacks.Callback):
    """The training loss of every step; due at the steps of a schedule."""

    def __init__(self, when=None):
        super().__init__(when)
        self.losses = []

    def on_steps_end(self, first, values):
        self.losses += values["loss"].tolist()
