"""Sets of TensorFlow Datasets (TFDS) on disk: found or downloaded, checked and read."""

import contextlib
import difflib
import logging
import os
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from bnkit.data.dataset import DataError

_BATCH = 256
# Seconds that a server has to answer in before it counts as out of reach.
_ANSWER_WITHIN = 4


def prepared(name, data_dir=None, progress=True):
    """The TFDS builder of a set that is on disk, after a download if need be.

    Args:
        name: As for `tfds.builder`: `"cifar10"`, `"name/config"`, `"name:version"`.
        data_dir: Where TFDS keeps its sets; `TFDS_DATA_DIR` or `~/tensorflow_datasets` if not
            given. A set that is not there is downloaded to it.
        progress: Whether a download shows a progress bar on stderr.

    Raises:
        DataError: If the set is unknown, or absent and not downloadable.
    """
    builder = find(name, data_dir)
    if not builder.info.splits:
        features(builder)  # Known before the download: do not fetch gigabytes to refuse them.
        _download(builder, name, _data_dir(data_dir), progress)
    return builder


def find(name, data_dir=None):
    """The TFDS builder of a set, on disk or not; nothing is downloaded.

    Args:
        name, data_dir: As for `prepared`.

    Raises:
        DataError: If the set is unknown.
    """
    data_dir = _data_dir(data_dir)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(name, ["glyphs", *known], n=5)
        meant = f"Did you mean {', '.join(close)}? " if close else ""
        raise DataError(
            f"There is no data set {name!r}. {meant}Valid are 'glyphs', the names at "
            "https://www.tensorflow.org/datasets/catalog, and sets in the data directory "
            f"(--data_dir or TFDS_DATA_DIR). {_found(data_dir)} Received: {name!r}"
        ) from error
    except Exception as error:  # A builder's constructor is foreign code and may raise anything.
        raise DataError(
            f"TFDS cannot set up the data set {name!r} with data directory {data_dir}; names have "
            f"the form name, name/config or name:version. Received: {summary(error)}"
        ) from error


def _download(builder, name, data_dir, progress):
    import tensorflow_datasets as tfds

    advice = (
        f"The data set {name!r} is not in {data_dir} and could not be downloaded. Give the "
        "directory that holds it with --data_dir or TFDS_DATA_DIR, or use 'glyphs', which needs "
        f"no download. {_found(data_dir)}"
    )
    # TFDS itself would retry for minutes when there is no network.
    if not builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not _online(builder.url_infos):
        raise DataError(f"{advice} Received: no answer from any of its servers")
    if progress:
        tfds.enable_progress_bar()
    else:
        tfds.disable_progress_bar()
    try:
        with _quiet("urllib3.connectionpool"):
            builder.download_and_prepare()
    except Exception as error:  # Network, disk, missing packages, manual steps: all end here.
        raise DataError(f"{advice} Received: {summary(error)}") from error


def _online(urls):
    """Whether a server that TFDS would ask answers at all; yes if there is nothing to ask."""
    import requests

    hosts = list(dict.fromkeys(urlsplit(url).netloc for url in urls))
    for host in [*hosts[:2], "storage.googleapis.com"] if hosts else []:
        with contextlib.suppress(requests.RequestException):
            requests.head(f"https://{host}", timeout=_ANSWER_WITHIN)
            return True
    return not hosts


@contextlib.contextmanager
def _quiet(logger_name):
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def features(builder):
    """The names of the image and of the label in an example.

    Raises:
        DataError: If the set is not one of labelled uint8 images.
    """
    import tensorflow_datasets as tfds

    structure = builder.info.features
    named = dict(structure) if isinstance(structure, tfds.features.FeaturesDict) else {}
    image_key, label_key = "image", "label"
    if len(builder.info.supervised_keys or ()) == 2:
        image_key, label_key = builder.info.supervised_keys
    image = named.get(image_key) if isinstance(image_key, str) else None
    label = named.get(label_key) if isinstance(label_key, str) else None
    usable = isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel)
    if not usable or image.np_dtype != np.uint8 or image.shape[2] is None or not label.num_classes:
        raise DataError(
            f"The data set {builder.info.full_name!r} (data directory {builder.data_path}) is no "
            "image classification set: that takes a uint8 Image feature, 'image', and a "
            f"ClassLabel feature, 'label'. Received: {' '.join(repr(structure).split())}"
        )
    return image_key, label_key


def read(builder, split, transform, undecoded=(), has_ids=False):
    """Reads a split in the order on disk.

    Args:
        builder: A prepared TFDS builder.
        split: A TFDS split expression.
        transform: Function of an example, mapped over the split.
        undecoded: Names of the features to leave as the bytes that they are stored as.
        has_ids: Whether an example has `tfds_id`, too: its file, and its position there.

    Yields:
        Batches of what `transform` returns, as NumPy arrays.

    Raises:
        DataError: If the files are missing or damaged.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(try_autocache=False, add_tfds_id=has_ids)
    decoders = {name: tfds.decode.SkipDecoding() for name in undecoded}
    try:
        examples = builder.as_dataset(
            split=split, shuffle_files=False, read_config=config, decoders=decoders
        )
        examples = examples.map(transform, num_parallel_calls=tf.data.AUTOTUNE)
        yield from examples.batch(_BATCH).prefetch(2).as_numpy_iterator()
    except (tf.errors.OpError, OSError, AssertionError, ValueError) as error:
        raise unreadable(builder, split, error) from error


def unreadable(builder, split, error):
    """The error for a split whose files are missing or damaged, from what reading them raised."""
    return DataError(
        f"Split {split!r} of {builder.info.full_name!r} in {builder.data_path} cannot be "
        f"read; prepare it again. Received: {summary(error)}"
    )


def _found(data_dir):
    infos = [
        info for depth in ("*/*", "*/*/*") for info in Path(data_dir).glob(f"{depth}/*_info.json")
    ]
    names = sorted({str(info.parent.relative_to(data_dir)) for info in infos})
    return f"Looked in {data_dir}, which holds {', '.join(names) or 'no data sets'}."


def summary(error):
    """An error from elsewhere in one line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", width=400)


def _data_dir(data_dir):
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    # An address such as gs://bucket/folder is no path of this machine.
    return chosen if "://" in chosen else os.path.abspath(os.path.expanduser(chosen))
