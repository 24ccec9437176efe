"""Any image classification set of TensorFlow Datasets (TFDS), decoded once into the cache."""

import numpy as np

from bnkit import waiting
from bnkit.data import builders, records, splits, streams
from bnkit.data.cache import cached, empty_array, empty_split, is_streamed, open_array
from bnkit.data.dataset import DataError

# Height and width of images of sets that have them in all sizes, in pixels.
_IMAGE_SIZE = 32


def load_images(
    name,
    *,
    data_dir=None,
    train_split=None,
    test_split=None,
    image_size=None,
    progress=True,
    input="auto",
):
    """Loads a TFDS set that has one image and one class label per example.

    Args:
        name: As for `tfds.builder`: `"cifar10"`, `"name/config"`, `"name:version"`.
        data_dir: Where TFDS keeps its sets; `TFDS_DATA_DIR` or `~/tensorflow_datasets` if not
            given. A set that is not there is downloaded to it.
        train_split, test_split: TFDS split expressions, such as `"train[:90%]"`, without examples
            in common. By default `train`, and the first of `test`, `validation`, `val` and
            `valid` that has labels.
        image_size: Height and width, in pixels, that images are resized to (antialiased). By
            default sets whose images are all of one size keep it, and others get 32.
        progress: Whether downloading and decoding show progress bars on stderr.
        input: As for `bnkit.data.load`.

    Returns:
        A `Dataset`.

    Raises:
        DataError: If the set is unknown, absent and not downloadable, or not labelled images; if
            a split expression is invalid, or none is suitable.
    """
    if image_size is not None and image_size < 1:
        raise DataError(f"image_size must be at least 1 pixel. Received: image_size={image_size}")
    builder, (image_key, label_key), selected = locate(
        name,
        data_dir=data_dir,
        train_split=train_split,
        test_split=test_split,
        progress=progress,
    )
    shape, classes = shape_and_classes(builder, image_size)
    resized = shape != tuple(builder.info.features[image_key].shape)

    key = _key(name, builder, selected, shape)
    images = sum(selection.size for selection in selected.values())
    streamed = is_streamed(key, images * int(np.prod(shape)), input)

    def build(directory):
        roles = ("test",) if streamed else ("test", "train")
        total, decoded = sum(selected[role].size for role in roles), 0
        with waiting.shown(total, f"decoding {name}", "image", is_shown=progress) as shown:
            # The test split first: it is smaller, and more likely to lack labels.
            for role in roles:
                examples = _decoded(builder, selected[role], image_key, label_key, shape, resized)
                arrays, filled = empty_split(directory, role, selected[role].size, shape), 0
                for x, y in examples:
                    _check_labels(builder, role, selected[role], y, classes)
                    arrays.x[filled : filled + len(y)] = x
                    arrays.y[filled : filled + len(y)] = y
                    filled += len(y)
                    decoded += len(y)
                    shown.at(decoded)
                _check_size(builder, selected[role], filled)
        if streamed:
            _find_records(builder, selected["train"], image_key, label_key, classes, directory)
        return classes

    def stream(directory):
        def decode(record):
            example = builder.info.features.deserialize_example(record)
            return _resized(example[image_key], shape, resized)

        places = [open_array(directory, f"train_{one}") for one in ("file", "offset")]
        read = records.reader(builder, selected["train"].expression, *places, decode)
        return streams.Stream((selected["train"].size, *shape), read)

    if streamed:
        records.check(builder)
        return cached(key | {"input": "streamed"}, build, stream, progress)
    return cached(key, build)


def _find_records(builder, selection, image_key, label_key, classes, directory):
    """Keeps the labels of the training images, and where each image is."""
    arrays = {
        name: empty_array(directory, f"train_{name}", dtype, (selection.size,))
        for name, dtype in (("y", np.int32), ("file", np.int64), ("offset", np.int64))
    }
    filled = 0
    for places, labels in records.locate(builder, selection.expression, image_key, label_key):
        _check_labels(builder, "train", selection, labels, classes)
        rows = slice(filled, filled + len(labels))
        arrays["y"][rows], arrays["file"][rows], arrays["offset"][rows] = labels, *places
        filled += len(labels)
    _check_size(builder, selection, filled)


def locate(name, *, data_dir, train_split, test_split, progress, is_told=True):
    """Finds a set, after a download if need be, and its training and test examples.

    Args:
        is_told: Whether a log message says which split is taken for testing.
        others: As for `load_images`.

    Returns:
        The TFDS builder, the names of image and label, and `{"train": Selection, "test": ...}`.

    Raises:
        DataError: As for `load_images`.
    """
    builder = builders.prepared(name, data_dir, progress)
    keys = builders.features(builder)
    return builder, keys, splits.select(builder, *keys, train_split, test_split, is_told=is_told)


def shape_and_classes(builder, image_size=None):
    """The shape of an image as `load_images` gives it, and the number of classes.

    Raises:
        DataError: If the set is not one of labelled images.
    """
    image_key, label_key = builders.features(builder)
    shape = tuple(builder.info.features[image_key].shape)
    if image_size is not None or None in shape[:2]:
        size = image_size or _IMAGE_SIZE
        shape = (size, size, shape[2])
    return shape, builder.info.features[label_key].num_classes


def _key(name, builder, selected, shape):
    """What the content depends on. Caches of earlier versions, with default splits, stay valid."""
    train, test = selected["train"], selected["test"]
    key = {
        "name": name,
        "builder": builder.info.full_name,
        "data_path": str(builder.data_path),
        "splits": {train.expression: train.size, test.expression: test.size},
        "image_shape": shape,
    }
    # `splits` does not say which is which, unless the training split is `train`, as it once was.
    return key if train.expression == "train" else key | {"train_split": train.expression}


def _decoded(builder, selection, image_key, label_key, shape, resized):
    """Yields (images, labels) of a selection as NumPy arrays."""

    def image_and_label(example):
        return _resized(example[image_key], shape, resized), example[label_key]

    return builders.read(builder, selection.expression, image_and_label)


def _resized(image, shape, resized):
    import tensorflow as tf

    if not resized:
        return image
    image = tf.image.resize(image, shape[:2], antialias=True)
    return tf.saturate_cast(tf.round(image), tf.uint8)


def _check_labels(builder, role, selection, labels, classes):
    low, high = int(np.min(labels)), int(np.max(labels))
    if low < 0 or high >= classes:
        raise DataError(
            f"The labels of split {selection.expression!r} of {builder.info.full_name!r} must lie "
            f"in 0 to {classes - 1}; -1 stands for an unknown label. Select another split with "
            f"--{role}_split. Received: labels from {low} to {high}"
        )


def _check_size(builder, selection, size):
    if size != selection.size:
        raise DataError(
            f"Split {selection.expression!r} of {builder.info.full_name!r} in {builder.data_path} "
            f"must hold {selection.size} images; prepare it again. Received: {size} images"
        )
