"""Which weights form a layer of the study: a weight layer with the normalisation after it."""

from typing import NamedTuple


class Stage(NamedTuple):
    """A weight layer and what follows it up to the next.

    Attributes:
        name: Name of the weight layer.
        positions: Positions of its variables in `model.trainable_variables`.
    """

    name: str
    positions: tuple[int, ...]


def stages(model):
    """The weight layers of a model in forward order, a list of `Stage`.

    A layer that owns a trainable matrix or kernel (rank 2 or more) opens a stage. Vectors of the
    layers after it, such as the scale and shift of a normalisation, belong to it, as parts of the
    W_i of the paper's Definition 2.1; those before the first weight layer belong to the first.

    Raises:
        ValueError: if no layer has a trainable matrix or kernel.
    """
    position = {id(variable): i for i, variable in enumerate(model.trainable_variables)}
    found, before_first, seen = [], [], set()
    for layer, variables in _owners(model):
        own = [v for v in variables if id(v) in position and id(v) not in seen]
        seen.update(map(id, own))
        positions = [position[id(v)] for v in own]
        if any(len(v.shape) >= 2 for v in own):
            found.append((layer.name, before_first + positions))
            before_first = []
        elif found:
            found[-1][1].extend(positions)
        else:
            before_first = before_first + positions
    if not found:
        raise ValueError(
            "The model has no layer with a trainable matrix or kernel. "
            f"Received: model {model.name!r}"
        )
    return [Stage(name, tuple(positions)) for name, positions in found]


def _owners(layer):
    """Layers with the trainable variables of their own, in the order of the model's layers.

    A layer around others (a wrapper, a subclassed model) comes after them, with what is not theirs.
    """
    inner = getattr(layer, "layers", None) or list(layer._flatten_layers(False, recursive=False))
    for child in inner:
        yield from _owners(child)
    theirs = {id(v) for child in inner for v in child.trainable_variables}
    yield layer, [v for v in layer.trainable_variables if id(v) not in theirs]
