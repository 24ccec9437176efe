"""Which weights form a layer of the study, and which of these layers come before which."""

from typing import NamedTuple

import keras

from bnkit.probes.dataflow import meetings


class Stage(NamedTuple):
    """A weight layer and the normalisations that follow it.

    Attributes:
        name: Name of the weight layer; with its path where several have that name.
        positions: Positions of its variables in `model.trainable_variables`.
        before: Numbers of the stages before it: those whose outputs reach it.
    """

    name: str
    positions: tuple[int, ...]
    before: tuple[int, ...]


def stages(model, x=None):
    """The weight layers of a model in forward order, a list of `Stage`.

    A layer that owns a trainable matrix or kernel (rank 2 or more) opens a stage. One comes before
    another if its output reaches it. Those side by side, such as query, key and value, or a
    shortcut and its branch, do not come before one another. Vectors of other layers, such as the
    scale and shift of a normalisation, belong to the last stage whose output reaches them, as parts
    of the W_i of the paper's Definition 2.1; those that none reaches belong to the first that they
    reach.

    What reaches what is seen in a graph of the model's call. Where it cannot be seen, layers come
    one after the other as the model lists them: those whose weights are joined before they meet the
    data, those in a loop, and all those of a subclassed model if there is no `x`. Layers that are
    not called, or only in a `tf.function` inside the model, come last, alone.

    Args:
        model: A built `keras.Model`.
        x: Inputs of a batch, or `tf.TensorSpec`s of them; those of a Sequential or functional model
            are known without.

    Raises:
        ValueError: if no layer has a trainable matrix or kernel.
    """
    owners = _owners(model)
    matrices = {n for n, (_, own) in enumerate(owners) if any(len(v.shape) >= 2 for v in own)}
    if not matrices:
        raise ValueError(
            "The model has no layer with a trainable matrix or kernel. "
            f"Received: model {model.name!r}"
        )
    position = {id(variable): i for i, variable in enumerate(model.trainable_variables)}
    positions = [[position[id(v)] for v in own] for _, own in owners]
    before = _before(model, x, positions)
    order = [number for number in before if number in matrices]
    members = {number: [] for number in order}
    for number in range(len(owners)):
        stage = number if number in matrices else _stage_of(number, order, before)
        members[stage] += positions[number]
    names = distinct_names([owners[number][0] for number in order])
    return [
        Stage(
            name,
            tuple(members[number]),
            tuple(i for i, other in enumerate(order) if other in before[number]),
        )
        for name, number in zip(names, order, strict=True)
    ]


def _owners(model):
    """Pairs of a layer and its own trainable variables, for all that have any, each once."""
    trainable = set(map(id, model.trainable_variables))
    owners = []
    for layer, variables in _layers(model):
        own = [v for v in variables if id(v) in trainable]
        trainable -= set(map(id, own))
        if own:
            owners.append((layer, own))
    return owners


def _layers(layer):
    """Layers with the trainable variables of their own, in the order of the model's layers.

    A layer around others (a wrapper, a subclassed model) comes after them, with what is not theirs.
    """
    inner = getattr(layer, "layers", None) or list(layer._flatten_layers(False, recursive=False))
    for child in inner:
        yield from _layers(child)
    theirs = {id(v) for child in inner for v in child.trainable_variables}
    yield layer, [v for v in layer.trainable_variables if id(v) not in theirs]


def _before(model, x, positions):
    """Owner -> the owners before it, in forward order; those that are not called come last."""
    numbers = range(len(positions))
    if x is None:
        x = _declared_inputs(model)
    if x is None:
        return {number: set(range(number)) for number in numbers}
    met = meetings(model, x, positions)
    called = sorted((n for n in numbers if met[n]), key=lambda n: (met[n].position, n))
    before = {}
    for number in called:
        own = met[number]
        # Of a layer that is called again, the first call counts.
        before[number] = {n for n in own.sources if met[n].position < own.position}
        # Of weights that meet the data at once, nothing else can be seen.
        before[number] |= {n for n in own.companions if n < number}
    return before | {number: set() for number in numbers if not met[number]}


def _declared_inputs(model):
    """Keras tensors in the form that the model takes; None for a subclassed model."""
    if not getattr(model, "inputs", None):
        return None
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _stage_of(number, order, before):
    """The stage that a vector belongs to."""
    reaching = [stage for stage in order if stage in before[number]]
    if reaching:
        return reaching[-1]
    reached = [stage for stage in order if number in before[stage]]
    if reached:
        return reached[0]
    return max((stage for stage in order if stage < number), default=order[0])


def distinct_names(layers):
    """The layers' names; those that several have, such as "query", are told apart by their paths.

    A path is made of the names of the layers around one. Where these are the same, too, a number
    follows.
    """
    names = [layer.name for layer in layers]
    pairs = zip(names, layers, strict=True)
    names = [layer.path if names.count(name) > 1 else name for name, layer in pairs]
    return [
        f"{name}_{names[:i].count(name)}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]
