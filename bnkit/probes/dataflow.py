"""Where groups of weights meet the data in a model's call, and which of them come before which."""

from typing import NamedTuple

import tensorflow as tf

from bnkit.probes.objective import call_at

# What they give depends on the shape of a tensor alone.
_OF_SHAPES = ("Shape", "ShapeN", "Size", "Rank")


class Meeting(NamedTuple):
    """Where a group of weights meets the data for the first time.

    Attributes:
        position: Place of that operation in the order of the call.
        sources: Numbers of the groups whose weights the data depend on that it meets, there or
            later.
        companions: Numbers of the groups that meet the data in the same operations: what is joined
            with their weights before, or used in a graph of its own that the operation calls.
    """

    position: int
    sources: frozenset
    companions: frozenset


def meetings(model, x, groups):
    """Follows the weights through the graph of a call in inference mode.

    Weights meet the data in an operation that has them, or what is calculated from weights alone,
    as one input, and something that depends on x as another.

    Args:
        model: A built `keras.Model`.
        x: Inputs of a batch, or what says their types: `tf.TensorSpec`s or Keras tensors.
        groups: Lists of positions in `model.trainable_variables`.

    Returns:
        A list of `Meeting`, None for a group that meets no data.
    """
    group_of = {position: number for number, group in enumerate(groups) for position in group}
    inputs, operations = _traced(model, x)
    weights = {id(tensor): 1 << group_of[p] for p, tensor in enumerate(inputs[0]) if p in group_of}
    state = set(map(id, inputs[1]))
    first, sources, companions = {}, {}, {}
    # Tensor -> the groups that it depends on, a bit for each, and whether it depends on x.
    known = {}
    for place, operation in enumerate(operations):
        arriving = [known[id(tensor)] for tensor in operation.inputs]
        of_weights = _union(bits for bits, of_x in arriving if not of_x)
        of_data = _union(bits for bits, of_x in arriving if of_x)
        depends = any(of_x for _, of_x in arriving)
        for number in _numbers(of_weights) if depends else ():
            first.setdefault(number, place)
            sources[number] = sources.get(number, 0) | of_data
            companions[number] = companions.get(number, 0) | of_weights
        for output in operation.outputs:
            if operation.type == "Placeholder":
                is_x = id(output) not in weights and id(output) not in state
                known[id(output)] = (weights.get(id(output), 0), is_x)
            elif operation.type in _OF_SHAPES:
                known[id(output)] = (0, False)
            else:
                known[id(output)] = (of_weights | of_data, depends)
    return [
        Meeting(
            first[number],
            frozenset(_numbers(sources[number])) - {number},
            frozenset(_numbers(companions[number])) - {number},
        )
        if number in first
        else None
        for number in range(len(groups))
    ]


def _traced(model, x):
    """The placeholders of weights and state, and all operations of a call in their order."""
    variables = [model.trainable_variables, model.non_trainable_variables]
    specs = [[tf.TensorSpec(v.shape, v.dtype) for v in some] for some in variables]

    def outputs(weights, state, x):
        return call_at(model, weights, state, x, "moving")[0]

    x = tf.nest.map_structure(_spec, x)
    graph = tf.function(outputs, autograph=False).get_concrete_function(*specs, x).graph
    count = len(specs[0])
    inputs = graph.inputs[:count], graph.inputs[count : count + len(specs[1])]
    return inputs, graph.get_operations()


def _spec(value):
    if isinstance(value, tf.TypeSpec):
        return value
    if hasattr(value, "_keras_history"):
        return tf.TensorSpec(value.shape, value.dtype)
    return tf.type_spec_from_value(value)


def _union(bits):
    result = 0
    for some in bits:
        result |= some
    return result


def _numbers(bits):
    """Positions of the bits that are set."""
    return [number for number in range(bits.bit_length()) if bits >> number & 1]
