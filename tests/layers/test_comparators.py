"""The comparators beyond the contract: what they average over, and their edges."""

import keras
import numpy as np
import pytest
import reference
from reference import error

from bnkit import layers
from bnkit.layers import GroupNorm, InstanceNorm, LayerNorm, RMSNorm

FLOAT32 = 1e-5
ALL = [LayerNorm, GroupNorm, InstanceNorm, RMSNorm]
each_class = pytest.mark.parametrize("make", ALL)


def random_batch(shape, seed=0):
    """Units with different means and deviations."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * rng.uniform(0.3, 3, shape[-1]) + rng.normal(0, 2, shape[-1])
    return x.astype("float32")


def test_all_names_share_one_epsilon():
    """Of those that have one: noise and the weights' normalisation add nothing."""
    made = {
        name: layers.get(name)
        for name in layers.names()
        if name != "none" and not layers.wraps(layers.get(name))
    }
    configs = {name: factory().get_config() for name, factory in made.items()}
    epsilons = {name: config["epsilon"] for name, config in configs.items() if "epsilon" in config}
    assert set(epsilons) == set(made) - {"noisy_none"}
    assert set(epsilons.values()) == {1e-5}


@each_class
@pytest.mark.parametrize("shape", [(8, 6), (4, 3, 3, 6)], ids=["dense", "image"])
def test_a_sample_does_not_depend_on_the_others(make, shape):
    x, layer = random_batch(shape), make()
    outputs = layer(x, training=True).numpy()
    alone = np.concatenate([layer(sample[np.newaxis], training=True) for sample in x])
    assert error(alone, outputs) < FLOAT32
    np.testing.assert_array_equal(layer(x, training=False), outputs)


@pytest.mark.parametrize(
    "groups, channels, used",
    [(8, 16, 8), (8, 6, 2), (8, 5, 1), (8, 1, 1), (3, 6, 3), (4, 2, 2)],
)
def test_groups_that_do_not_divide_the_channels(groups, channels, used):
    x = random_batch((4, 3, 2, channels))
    layer = GroupNorm(groups=groups)
    assert error(layer(x), reference.group_norm(x, used)) < FLOAT32
    assert layer.groups == used
    again = GroupNorm.from_config(layer.get_config())
    np.testing.assert_array_equal(again(x), layer(x))


@pytest.mark.parametrize("shape", [(8, 6), (4, 3, 2, 6)], ids=["dense", "image"])
def test_layer_norm_takes_a_sample_as_a_whole(shape):
    """For images not as `keras.layers.LayerNormalization`, which takes each position alone."""
    x = random_batch(shape)
    outputs = LayerNorm()(x)
    samples = np.reshape(outputs, (len(x), -1)).astype("float64")
    np.testing.assert_allclose(samples.mean(1), 0, atol=FLOAT32)
    np.testing.assert_allclose(samples.std(1), 1, atol=1e-4)
    of_keras = keras.layers.LayerNormalization(epsilon=1e-5)(x)
    assert (error(of_keras, outputs) < FLOAT32) == (len(shape) == 2)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("shape", [(8, 6), (4, 3, 2, 6)], ids=["dense", "image"])
@pytest.mark.parametrize("make", [LayerNorm, InstanceNorm])
def test_without_shift_or_scale(make, shape, center, scale):
    x, layer = random_batch(shape), make(center=center, scale=scale)
    layer.build(shape)
    values = {"gamma": np.float32([1, 2, 3, 4, 5, 6]), "beta": np.float32([0, 1, 2, 3, 4, 5])}
    for variable in layer.trainable_variables:
        variable.assign(values[variable.name])
    assert [v.name for v in layer.variables] == ["gamma"] * scale + ["beta"] * center
    if make is InstanceNorm and len(shape) == 2:
        normalised = x
    else:
        normalised = reference.group_norm(x, 1 if make is LayerNorm else 6)
    expected = normalised * (values["gamma"] if scale else 1) + (values["beta"] if center else 0)
    assert error(layer(x), expected) < FLOAT32


@each_class
@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 3, 6), (1, 1, 1, 6)])
def test_zeros_give_the_shift(make, shape):
    layer, zeros = make(), np.zeros(shape, "float32")
    layer.build(shape)
    if make is not RMSNorm:
        layer.beta.assign(np.arange(6))
    shift = np.arange(6) * (make is not RMSNorm)
    np.testing.assert_array_equal(layer(zeros), np.broadcast_to(shift, shape))


@pytest.mark.parametrize("make, groups", [(LayerNorm, 1), (GroupNorm, 2), (InstanceNorm, 6)])
def test_a_mean_far_from_zero_costs_no_more_than_its_rounding(make, groups):
    """float32 has a spacing of 1e-3 at 1e4: a mean over few values is off by a few of them."""
    x = (1e4 + np.random.default_rng(0).normal(size=(2, 4, 4, 6))).astype("float32")
    np.testing.assert_allclose(make()(x), reference.group_norm(x, groups), atol=5e-3)
