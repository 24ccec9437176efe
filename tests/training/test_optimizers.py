"""Optimizers and their rates, against Keras's own and against formulas."""

import math

import keras
import numpy as np
import pytest

from bnkit.settings import OPTIMIZERS, Settings
from bnkit.training import optimizers


def rates(**options):
    settings = Settings(lr=0.4, steps=8, **options)
    rate = optimizers.make(settings).learning_rate
    schedule = optimizers._rate(settings)
    if not callable(schedule):
        return [float(rate)] * 8
    return [float(schedule(step)) for step in range(8)]


def test_rates_follow_their_schedule():
    assert rates() == pytest.approx([0.4] * 8)
    assert rates(schedule="step") == pytest.approx([0.4] * 4 + [0.04] * 2 + [0.004] * 2)
    cosine = [0.2 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert rates(schedule="cosine") == pytest.approx(cosine, abs=1e-7)
    # Half a decade each: from a ten-thousandth.
    rising = [4e-5 * 10 ** (step / 2) for step in range(8)]
    assert rates(schedule="range") == pytest.approx(rising, rel=1e-5)
    assert rates(warmup=3) == pytest.approx([0.1, 0.2, 0.3] + [0.4] * 5)
    warm = [0.1, 0.2, 0.3] + [0.2 * (1 + math.cos(math.pi * t / 5)) for t in range(5)]
    assert rates(warmup=3, schedule="cosine") == pytest.approx(warm, abs=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_kerass_own(name):
    optimizer = optimizers.make(Settings(lr=0.03, optimizer=name))
    assert type(optimizer).__name__.lower() == name
    assert float(optimizer.learning_rate) == pytest.approx(0.03)
    assert optimizer.global_clipnorm is None


def test_further_arguments_reach_the_optimizer():
    settings = Settings(optimizer="adam", optimizer_args="beta_1=0.5,amsgrad=True", clip_norm=3.0)
    optimizer = optimizers.make(settings)
    assert (optimizer.beta_1, optimizer.amsgrad, optimizer.global_clipnorm) == (0.5, True, 3.0)
    momentum = optimizers.make(Settings(momentum=0.9, optimizer_args="nesterov=True"))
    assert (momentum.momentum, momentum.nesterov) == (0.9, True)


@pytest.mark.parametrize("arguments", ["nothing=1", "beta_1=0.5"])
def test_arguments_that_it_does_not_take_are_named(arguments):
    with pytest.raises(ValueError, match=f"arguments of Keras's sgd: .*{arguments.split('=')[0]}"):
        optimizers.make(Settings(optimizer_args=arguments))


def test_the_norm_of_an_update_is_clipped():
    optimizer = optimizers.make(Settings(lr=1.0, clip_norm=1.0))
    variables = [keras.Variable(np.zeros(2)), keras.Variable(np.zeros(1))]
    optimizer.build(variables)
    optimizer.apply([np.array([3.0, 0.0]), np.array([4.0])], variables)
    np.testing.assert_allclose(variables[0], [-0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(variables[1], [-0.8], rtol=1e-6)


def test_half_precision_has_a_scaled_loss():
    optimizer = optimizers.make(Settings(precision="float16"))
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
