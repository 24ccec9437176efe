"""The tensors between a model's layers, seen during one call and without changing the model."""

import contextlib
import functools
import threading

import keras
import tensorflow as tf

# Their layers run once for each time step, mostly in the graph of a loop, which no tensor leaves.
_LOOPS = (keras.layers.RNN, keras.layers.TimeDistributed)

_LOCK = threading.Lock()
_NOTHING = object()


def parts(model):
    """The layers and operations inside a model, each once, inner ones before outer ones.

    Without the model itself, and without what is in a layer that loops over time.
    """
    found = {}

    def visit(part):
        if isinstance(part, _LOOPS):
            return
        children = part._flatten_layers(False, recursive=False)
        operations = getattr(part, "operations", ())
        children += [op for op in operations if isinstance(op, keras.Operation)]
        for child in children:
            if id(child) not in found:
                if isinstance(child, keras.Layer):
                    visit(child)
                found[id(child)] = child

    visit(model)
    return list(found.values())


class Call:
    """A recorded call.

    Attributes:
        owner: The object whose attribute was called.
        attribute: The attribute's name.
        inputs: The tensors among the arguments, a flat list.
        keywords: The keyword arguments.
        outputs: The tensors among the results, a flat list.
        end: Position, among all recorded calls, after the last one made within this one.
    """

    def __init__(self, owner, attribute, arguments, keywords):
        self.owner = owner
        self.attribute = attribute
        self.inputs = tensors((arguments, keywords))
        self.keywords = keywords
        self.outputs = []
        self.end = None


@contextlib.contextmanager
def recorded(targets, tape=None):
    """Records calls while the block runs, in this thread and graph.

    During the block an instance attribute hides the one that is to be recorded. Afterwards the
    objects are as they were, also if the block fails. Replicas share the objects, and one starts
    while another waits in the middle of its own block: so the attribute stays until the last of
    them has finished, and each records its own calls.

    Args:
        targets: Pairs `(owner, attribute)`, each once.
        tape: A `tf.GradientTape`. Each call then gets copies of its floating tensors, watched by
            the tape, so that derivatives for them take only this call into account.

    Yields:
        A list that fills with `Call`s, in the order in which they begin.
    """
    recorder = _Recorder(tape)
    with contextlib.ExitStack() as stack:
        for owner, attribute in targets:
            _tap(owner, attribute, recorder)
            stack.callback(_untap, owner, attribute)
        yield recorder.calls


def original(owner, attribute):
    """An object's own attribute, whether it is being recorded or not; None if it has none."""
    own = vars(owner).get(attribute)
    return own.own if isinstance(own, _Tap) else own


class _Recorder:
    """What is recorded for one block."""

    def __init__(self, tape):
        self.calls = []
        self._tape = tape
        self._graph = _graph()

    def call(self, tap, arguments, keywords):
        if _graph() is not self._graph:
            return tap.original(*arguments, **keywords)
        if self._tape is not None:
            arguments, keywords = tf.nest.map_structure(self._copy, (arguments, keywords))
        call = Call(tap.owner, tap.attribute, arguments, keywords)
        self.calls.append(call)
        results = tap.original(*arguments, **keywords)
        call.outputs = tensors(results)
        call.end = len(self.calls)
        return results

    def _copy(self, value):
        if not (isinstance(value, tf.Tensor) and value.dtype.is_floating):
            return value
        copied = tf.identity(value)
        self._tape.watch(copied)
        return copied


class _Tap:
    """Stands in an object's attribute, and passes its calls on to the recorder of the thread."""

    def __init__(self, owner, attribute):
        self.owner = owner
        self.attribute = attribute
        self.own = vars(owner).get(attribute, _NOTHING)
        self.original = getattr(owner, attribute)
        self.recorders = {}
        functools.update_wrapper(self, self.original, updated=())

    def __call__(self, *arguments, **keywords):
        recorder = self.recorders.get(threading.get_ident())
        if recorder is None:
            return self.original(*arguments, **keywords)
        return recorder.call(self, arguments, keywords)


def _tap(owner, attribute, recorder):
    with _LOCK:
        tap = vars(owner).get(attribute)
        if not isinstance(tap, _Tap):
            tap = _Tap(owner, attribute)
            # Not through Keras, which would track it.
            object.__setattr__(owner, attribute, tap)
        tap.recorders[threading.get_ident()] = recorder


def _untap(owner, attribute):
    with _LOCK:
        tap = vars(owner)[attribute]
        del tap.recorders[threading.get_ident()]
        if tap.recorders:
            return
        if tap.own is _NOTHING:
            object.__delattr__(owner, attribute)
        else:
            object.__setattr__(owner, attribute, tap.own)


def _graph():
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def tensors(structure):
    """The tensors in a structure, a flat list."""
    return [value for value in tf.nest.flatten(structure) if isinstance(value, tf.Tensor)]
