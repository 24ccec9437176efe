"""The deep linear network (paper Fig 5)."""

import keras

from bnkit.models.stage import factory_of, glorot_uniform, normalised, output_dtype
from bnkit.models.task import regression


def deep_linear(norm="none", depth=25, dim=10, *, norm_last=False, seed=None):
    """The deep linear network: square linear layers without bias or non-linearity (paper Fig 5).

    Layers are named `dense1 norm1 dense2 ... dense25`. Weights are Glorot uniform.

    Args:
        norm: As for `bnkit.models.vgg`.
        depth: Number of linear layers.
        dim: Units of every layer, and length of inputs and outputs.
        norm_last: Whether the last layer is normalised, too.
        seed: As for `bnkit.models.vgg`.

    Returns:
        A `keras.Model` from `[batch, dim]` to float32 `[batch, dim]`.

    Raises:
        ValueError: As `bnkit.models.vgg`.
    """
    for name, value in (("depth", depth), ("dim", dim)):
        if not (isinstance(value, int) and value >= 1):
            raise ValueError(f"`{name}` must be an integer >= 1. Received: {name}={value!r}")
    factory = factory_of(norm)
    initializers = glorot_uniform(seed, depth)
    x = inputs = keras.Input((dim,), name="inputs")
    for index in range(1, depth + 1):
        is_last = index == depth
        dense = keras.layers.Dense(
            dim,
            use_bias=False,
            kernel_initializer=next(initializers),
            dtype=output_dtype() if is_last else None,
            name=f"dense{index}",
        )
        is_normalised = norm_last or not is_last
        x = normalised(x, dense, factory if is_normalised else None, f"norm{index}")
    return keras.Model(inputs, x, name=f"deep_linear{depth}")


def from_settings(settings, norm, dataset):
    """The `Task` of a run, see `bnkit.models.from_settings`."""
    (dim,) = dataset.input_shape
    return regression(
        deep_linear(norm, settings.depth, dim, norm_last=settings.norm_last, seed=settings.seed)
    )
