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


def output_dtype():
    """The type of a network's outputs, and with them of the loss.

    It is float32 at any compute type, and float64 where variables are.
    """
    return keras.backend.result_type(keras.config.dtype_policy().variable_dtype, "float32")


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
    return normalise(weigh(x, layer, factory, name), factory, name)


def weigh(x, layer, factory, name):
    """The first half of `normalised`: the weight layer, in its wrapper if the factory makes one."""
    if factory is None or not layers.wraps(factory):
        return layer(x)
    return _checked(
        lambda: factory(layer, name=name)(x), name, x.shape, layer.compute_output_shape(x.shape)
    )


def normalise(x, factory, name):
    """The second half of `normalised`: what follows the weight layer, be it right after or later.

    It is x itself if there is no normalisation, or if it has wrapped the weight layer.
    """
    if factory is None or layers.wraps(factory):
        return x
    return _checked(lambda: factory(name=name)(x), name, x.shape, x.shape)


def _checked(apply, name, inputs, expected):
    """What a normalisation gives, for inputs of a shape, which must have the expected shape."""
    try:
        outputs = apply()
    except Exception as error:
        # A user's layer may raise anything; what is added here is where it happened.
        raise ValueError(
            f"The normalisation {name} cannot be built for inputs of shape {inputs}: "
            f"{type(error).__name__}: {error}"
        ) from error
    received = getattr(outputs, "shape", f"a {type(outputs).__name__}")
    if received != tuple(expected):
        raise ValueError(
            f"The normalisation {name} must give one tensor of shape {tuple(expected)}. "
            f"Received: {received}"
        )
    return outputs
