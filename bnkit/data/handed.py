"""What users hand over as a batch: arrays, tensors, or a data set whose first batch is used."""

from collections.abc import Iterator

_VALID = (
    "A batch must be (x, y) or (x, y, sample_weight), of arrays or tensors with one row per "
    "sample, or lists or dicts of them; or a batched tf.data.Dataset or a keras.utils.PyDataset, "
    "whose first batch is used"
)


def as_batch(batch):
    """Returns a batch as tensors, of the types that a model gets from `model.fit`.

    Args:
        batch: `(x, y)` or `(x, y, sample_weight)`, each an array, a tensor, or nested lists and
            dicts of them for several inputs or outputs. Or a `tf.data.Dataset` of batches, which
            may repeat without end, or a `keras.utils.PyDataset`: its first batch is used. As in
            `model.fit`, floating-point arrays are cast to `keras.config.floatx()`, and what data
            sets yield is not.

    Returns:
        `(x, y, sample_weight)`, tensors nested in the same way; `sample_weight` is None if none
        was given. Among the `y` of several outputs, and their weights, None stays as it is.

    Raises:
        ValueError: If `batch` is anything else or empty, or its parts differ in length.
            Generators and iterators are refused: a batch taken from them would be missing in
            training.
    """
    import tensorflow as tf

    values, cast = _first(batch)
    if not isinstance(values, (tuple, list)) or len(values) not in (2, 3):
        raise _error(_described(values) if values is batch else _item_of(batch, values))
    x, y, sample_weight = values if len(values) == 3 else (*values, None)
    parts = {"x": x, "y": y}
    if sample_weight is not None:
        parts["sample_weight"] = sample_weight
    tensors = {
        name: tf.nest.map_structure(
            # As in `model.fit`, an output without a loss needs no labels.
            lambda leaf, name=name, part=part: (
                None
                if leaf is None and part is not None and name != "x"
                else _tensor(name, leaf, cast)
            ),
            part,
        )
        for name, part in parts.items()
    }
    _check_lengths(tensors)
    return tensors["x"], tensors["y"], tensors.get("sample_weight")


def _first(batch):
    """The batch itself or the first of a data set, and whether `model.fit` would cast it."""
    import keras
    import tensorflow as tf

    if isinstance(batch, tf.data.Dataset):
        # One element is read, whether the data set ends or not.
        for values in batch.take(1):
            return values, False
        raise _error("a tf.data.Dataset without batches")
    if isinstance(batch, keras.utils.PyDataset):
        if batch.num_batches == 0:
            raise _error(f"{type(batch).__name__}, a PyDataset without batches")
        return batch[0], False
    if isinstance(batch, Iterator):
        raise _error(
            f"{_described(batch)}, an iterator: the batch taken from it would be missing in "
            "training. Take one yourself, `batch = next(iterator)`"
        )
    return batch, True


def _tensor(name, leaf, cast):
    import keras
    import tensorflow as tf

    if not hasattr(leaf, "shape") and not hasattr(leaf, "__array__"):
        raise _error(f"{name} with {_described(leaf)} where an array is needed")
    if isinstance(leaf, (tf.RaggedTensor, tf.SparseTensor)):
        tensor = leaf
    else:
        try:
            tensor = tf.convert_to_tensor(leaf)
        except (TypeError, ValueError) as error:
            raise _error(f"{name} with {_described(leaf)}, not convertible: {error}") from error
    if tensor.shape.rank == 0:
        raise _error(f"{name} with a single number where an array of one row per sample is needed")
    return tf.cast(tensor, keras.config.floatx()) if cast and tensor.dtype.is_floating else tensor


def _check_lengths(tensors):
    """Checks that all parts have the same number of rows, at least one."""
    import tensorflow as tf

    shapes = {
        name: [tuple(leaf.shape) for leaf in tf.nest.flatten(part) if leaf is not None]
        for name, part in tensors.items()
    }
    received = ", ".join(
        f"{name} of shape {' and '.join(map(str, of_part)) or 'nothing'}"
        for name, of_part in shapes.items()
    )
    lengths = {shape[0] for of_part in shapes.values() for shape in of_part}
    if len(lengths) != 1 or 0 in lengths or not all(shapes.values()):
        raise _error(f"{received}; the first dimension of all must be the same number of samples")


def _item_of(dataset, values):
    return f"{_described(dataset)} whose first batch is {_described(values)}"


def _described(value):
    """A value in a few words, without its numbers."""
    name = type(value).__name__
    if isinstance(value, dict):
        return f"a {name} with the keys {', '.join(map(str, value)) or '(none)'}"
    if isinstance(value, (tuple, list)):
        return f"a {name} of {len(value)}"
    if hasattr(value, "shape"):
        return f"{name} of shape {tuple(value.shape)}"
    return name


def _error(received):
    return ValueError(f"{_VALID}. Received: {received}")
