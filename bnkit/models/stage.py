"""What all families share: a weight layer, its initial weights, and the normalisation after it."""

import keras
import numpy as np

from bnkit import layers


def factory_of(norm):
    """The factory of a normalisation that is given by its name, as a factory, or as None.

    Raises:
        ValueError: for a name that is not known.
    """
    return layers.get(norm) if isinstance(norm, str) else norm


def glorot_uniform(seed, count):
    """An iterator over `count` Glorot uniform initializers, no two of which draw the same weights.

    Args:
        seed: The same seed gives the same weights; None gives other weights each time.
        count: Number of weight layers.
    """
    seeds = np.random.default_rng(seed).integers(2**31, size=count).tolist()
    return (keras.initializers.GlorotUniform(seed=seed) for seed in seeds)


def normalised(x, layer, factory, name):
    """The weight layer with its normalisation, applied to x.

    Args:
        x: A Keras tensor.
        layer: The weight layer.
        factory: Of the normalisation; None for none. A factory of a `keras.layers.Wrapper` gets
            the weight layer to wrap first.
        name: Of the normalisation.

    Raises:
        ValueError: if the normalisation cannot be built, or changes the shape.
    """
    if factory is None:
        return layer(x)
    before = x if layers.wraps(factory) else layer(x)
    try:
        norm = factory(layer, name=name) if layers.wraps(factory) else factory(name=name)
        outputs = norm(before)
    except Exception as error:
        # A user's layer may raise anything; what is added here is where it happened.
        raise ValueError(
            f"The normalisation {name} cannot be built for inputs of shape {before.shape}: "
            f"{type(error).__name__}: {error}"
        ) from error
    expected = layer.compute_output_shape(x.shape)
    received = getattr(outputs, "shape", f"a {type(outputs).__name__}")
    if received != tuple(expected):
        raise ValueError(
            f"The normalisation {name} must give one tensor of shape {tuple(expected)}. "
            f"Received: {received}"
        )
    return outputs
