"""The inputs of the non-linearities that the weight layers lead to."""

import keras
import tensorflow as tf

from bnkit.probes.objective import call_at
from bnkit.probes.recording import original, parts, recorded, tensors
from bnkit.probes.stages import stages

_ACTIVATIONS = {
    name.replace("_", "")
    for name in dir(keras.activations)
    if name not in ("get", "serialize", "deserialize", "linear") and not name.startswith("_")
} | {"prelu", "attention"}


def pre_activations(model, weights, state, x, statistics="batch"):
    """The input of the non-linearity after each weight layer, from one call.

    The output of a weight layer is followed through normalisation, noise, pooling and the sum with
    a skip connection, to the first non-linearity that it reaches. If it reaches another weight
    layer first (deep linear networks), or the end (logits), the output of the last layer before
    that is taken.

    A non-linearity is the `activation` of a layer, if it is not linear; or a layer or operation
    with the name of one of `keras.activations`; or PReLU; or Attention, whose queries, keys and
    values are what is taken. Tensors are followed from layer to layer.
    If the code of a subclassed model computes between two layers, they are taken as connected when
    they are called one after the other, and the second gets a tensor that no call before has seen,
    of the shape of the first's output. Otherwise the first's output is the end. If a layer is
    called several times, the first call counts. A layer inside an RNN or a TimeDistributed is
    measured at the output of these.

    Args:
        model: A built `keras.Model`; it stays as it is.
        weights: List of tensors aligned with `model.trainable_variables`.
        state: List of tensors aligned with `model.non_trainable_variables`.
        x: Inputs of the batch.
        statistics: "batch" for a call in training mode, "moving" for one in inference mode.

    Returns:
        List of `(name, tensor, mask)` with the names and in the order of `stages(model, x)`,
        tensors in the type of the computation. The mask is Keras's, False for padded positions;
        None where there is none on the way from the weight layer. Layers whose call cannot be seen
        are left out: those that are not called, or are called in a graph of their own (a loop, a
        `tf.function` inside the model).
    """
    inside = parts(model)
    holders = _holders(inside)
    weight_layers = {id(part) for (part, variable) in holders.values() if _is_matrix(variable)}
    with recorded(_targets(inside, weight_layers)) as calls:
        outputs, _ = call_at(model, weights, state, x, statistics)
    found = []
    for stage in stages(model, x):
        variables = [model.trainable_variables[p] for p in stage.positions]
        matrix = next(variable for variable in variables if _is_matrix(variable))
        if id(matrix) not in holders:
            # The matrix belongs to the model itself.
            output = tensors(outputs)[0]
            found.append((stage.name, output, _mask(output, None)))
            continue
        owner, _ = holders[id(matrix)]
        for position, call in enumerate(calls):
            if call.owner is owner and call.attribute == "call":
                found.append((stage.name, *_follow(calls, position, weight_layers)))
                break
    return found


def _is_matrix(variable):
    return len(variable.shape) >= 2


def _holders(inside):
    """`id(variable) -> (part, variable)`, the innermost part that has it."""
    holders = {}
    for part in inside:
        for variable in getattr(part, "weights", ()):
            holders.setdefault(id(variable), (part, variable))
    return holders


def _targets(inside, weight_layers):
    """The calls to record: those of all parts that do not merely call other parts of interest."""
    targets = []
    for part in inside:
        below = parts(part) if isinstance(part, keras.Layer) else []
        arranges = any(id(p) in weight_layers or _is_nonlinear(p) for p in below)
        if not arranges or id(part) in weight_layers:
            targets.append((part, "call"))
        if _has_activation(part):
            targets.append((part, "activation"))
    return targets


def _is_nonlinear(part):
    return _has_activation(part) or _is_named_nonlinear(part)


def _is_named_nonlinear(part):
    return any(kind.__name__.lower() in _ACTIVATIONS for kind in type(part).__mro__)


def _has_activation(part):
    own = original(part, "activation")
    return callable(own) and own is not keras.activations.linear


def _follow(calls, position, weight_layers):
    """The input of the non-linearity that the call at `position` leads to, and its mask."""
    current = calls[position]
    mask = _mask_of_output(current)
    inner = _activation_input(calls, position)
    if inner is not None:
        return inner, _mask(inner, mask)
    reached = {id(tensor) for tensor in current.outputs}
    position = current.end
    while position < len(calls):
        call = calls[position]
        taken = next((tensor for tensor in call.inputs if id(tensor) in reached), None)
        if taken is None and position == current.end:
            taken = _taken_after_code(calls, current)
        if taken is None:
            position += 1
            continue
        is_nonlinear = call.attribute == "activation" or _is_named_nonlinear(call.owner)
        if is_nonlinear or id(call.owner) in weight_layers:
            return taken, mask if taken is current.outputs[0] else _mask(taken, mask)
        inner = _activation_input(calls, position)
        mask = _mask_of_output(call, mask)
        if inner is not None:
            return inner, _mask(inner, mask)
        reached.update(id(tensor) for tensor in call.outputs)
        current = call
        position = call.end
    return current.outputs[0], mask


def _activation_input(calls, position):
    """The input of the call's own activation; None if it has none."""
    call = calls[position]
    for inner in calls[position + 1 : call.end]:
        if inner.owner is call.owner and inner.attribute == "activation":
            return inner.inputs[0]
    return None


def _mask_of_output(call, last=None):
    mask = _mask(call.outputs[0], last)
    if mask is not None and getattr(call.owner, "go_backwards", False):
        # The outputs begin with the last step, but Keras hands the mask on as it was.
        mask = tf.reverse(mask, [1])
    return mask


def _mask(tensor, last):
    """The mask of a tensor, or the last one before it, if it is one of the tensor's first axes.

    Keras forgets a mask where code computes with a tensor, and attention takes it off its input.
    """
    for mask in (getattr(tensor, "_keras_mask", None), last):
        rank = len(tensor.shape) if mask is None else len(mask.shape)
        if rank < len(tensor.shape) and mask.shape.is_compatible_with(tensor.shape[:rank]):
            return mask
    return None


def _taken_after_code(calls, call):
    """The input of the next call, if code may have made it of this call's output; else None."""
    output, following = call.outputs[0], calls[call.end]
    if any(output is tensor for later in calls[call.end :] for tensor in later.inputs):
        return None
    known = {id(tensor) for earlier in calls[: call.end] for tensor in earlier.inputs}
    known.update(id(tensor) for earlier in calls[: call.end] for tensor in earlier.outputs)
    for tensor in following.inputs:
        if id(tensor) not in known and tensor.shape == output.shape:
            return tensor
    return None
