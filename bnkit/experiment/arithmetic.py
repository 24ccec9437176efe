"""How much a network has to calculate, from the shapes of its layers."""

import math

from bnkit.models.attention import Attention


def forward_flop(model):
    """Floating-point operations of one sample's way through a network.

    Products and sums of everything that is multiplied by a matrix or a kernel, two for each number
    of it and each position of the output; and of attention, which multiplies tokens by one another.
    Normalisations, non-linearities and biases are left out.

    Args:
        model: A Keras model.

    Returns:
        None where it is not known: a layer within a subclassed model has no shape of its own.
    """
    try:
        return _of_layers(model)
    except AttributeError:  # What Keras raises for the output of a layer that is in no graph.
        return None


def _of_layers(model):
    return sum(map(_of_layer, model.layers))


def _of_layer(layer):
    if hasattr(layer, "layers"):
        return _of_layers(layer)
    if isinstance(layer, Attention):
        tokens, channels = layer.output.shape[1:]
        return 4 * tokens**2 * channels
    kernels = sum(math.prod(w.shape) for w in layer.weights if len(w.shape) >= 2)
    if not kernels:
        return 0
    positions = math.prod(layer.output.shape[1:-1])
    return 2 * kernels * positions
