"""Where each example of a TFDS set is in its files, so that any of them can be read by itself."""

import os
import struct

import numpy as np

from bnkit.data import builders
from bnkit.data.dataset import DataError

# Of a TFRecord: the length of its data as 8 bytes, 4 of a checksum, the data, 4 of a checksum.
_HEADER, _FOOTER = 12, 4


def check(builder):
    """Checks that the files of a prepared set are TFRecords.

    Raises:
        DataError: If they have another format.
    """
    found = builder.info.file_format.value
    if found != "tfrecord":
        raise DataError(
            f"The data set {builder.info.full_name!r} cannot be streamed: that takes files in the "
            f"format tfrecord; --input=decoded keeps it in the data cache. Received: {found}"
        )


def files(builder):
    """The paths of all files of a set, in the order of their numbers."""
    splits = builder.info.splits.values()
    return sorted({str(path) for split in splits for path in split.filepaths})


def locate(builder, split, image_key, label_key):
    """Reads a split in the order of `builders.read`; no image is decoded.

    Yields:
        `(numbers, offsets), labels` of many examples each: the number of the file, in the order of
        `files`, and where in it the record begins, in bytes.

    Raises:
        DataError: If the files are missing or damaged.
    """
    paths = files(builder)
    offsets = {}

    def id_and_label(example):
        return example["tfds_id"], example[label_key]

    for ids, labels in builders.read(builder, split, id_and_label, [image_key], has_ids=True):
        numbers, found = [], []
        for one in ids:
            name, position = one.decode().rsplit("__", 1)
            (number,) = (i for i, path in enumerate(paths) if path.endswith(f"/{name}"))
            if number not in offsets:
                offsets[number] = _offsets(paths[number])
            numbers.append(number)
            found.append(offsets[number][int(position)])
        yield (numbers, found), labels


def reader(builder, split, numbers, offsets, decode):
    """A function of positions, an array, that reads these examples of a split.

    Args:
        builder: A prepared TFDS builder.
        split: The TFDS split expression, for messages.
        numbers, offsets: Of all examples, as `locate` gives them.
        decode: Function of a record, mapped over them by a pipeline; returns a tensor.
    """
    import tensorflow as tf

    paths = files(builder)
    options = tf.data.Options()
    # Its own: TensorFlow's may be a single one, which waits for this pipeline.
    options.threading.private_threadpool_size = max(2, os.cpu_count())

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None], kind) for kind in (tf.string, tf.int64)],
    )
    def examples(path, offset):
        found = tf.data.Dataset.from_tensor_slices((path, offset))
        found = found.map(
            lambda path, offset: decode(_record(path, offset)), num_parallel_calls=tf.data.AUTOTUNE
        )
        found = found.batch(tf.size(offset, tf.int64)).with_options(options)
        return found.get_single_element()

    def read(positions):
        try:
            chosen = [paths[number] for number in numbers[positions]]
            return examples(chosen, offsets[positions]).numpy()
        except tf.errors.OpError as error:
            raise builders.unreadable(builder, split, error) from error

    return read


def _record(path, offset):
    """The record at an offset of a file, checked by its checksums."""
    import tensorflow as tf

    # `tf.data.TFRecordDataset` has no argument for the offset.
    found = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=0, byte_offsets=[offset]
    )
    found = tf.data.experimental.from_variant(found, tf.TensorSpec([], tf.string))
    return found.take(1).get_single_element()


def _offsets(path):
    """Where the records of a file begin, in bytes."""
    import tensorflow as tf

    found, offset = [], 0
    with tf.io.gfile.GFile(path, "rb") as file:
        size = file.size()
        while offset < size:
            found.append(offset)
            file.seek(offset)
            (length,) = struct.unpack("<Q", file.read(8))
            offset += _HEADER + length + _FOOTER
    return np.array(found, np.int64)
