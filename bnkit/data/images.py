"""Any image classification set of TensorFlow Datasets (TFDS), decoded once into the cache."""

import contextlib
import difflib
import logging
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from tqdm import tqdm

from bnkit.data.cache import cached, empty_split
from bnkit.data.dataset import DataError, Dataset

_BATCH = 256
# Seconds that a server has to answer in before it counts as out of reach.
_ANSWER_WITHIN = 4


def load_images(
    name: str, *, data_dir: str | None = None, image_size: int = 32, progress: bool = True
) -> Dataset:
    """Loads a TFDS set that has one image and one class label per example.

    The training split is `train`; the test split is `test`, or `validation` if there is none.

    Args:
        name: as for `tfds.builder`: `"cifar10"`, `"name/config"`, `"name:version"`.
        data_dir: where TFDS keeps its sets; `TFDS_DATA_DIR` or `~/tensorflow_datasets` if not
            given. A set that is not there is downloaded to it.
        image_size: height and width, in pixels, that images are resized to (antialiased) in sets
            whose images are not all of one size. Other sets keep their size.
        progress: whether downloading and decoding show progress bars on stderr.

    Raises:
        DataError: if the set is unknown, absent and not downloadable, or not labelled images.
    """
    if image_size < 1:
        raise DataError(f"image_size must be at least 1 pixel. Received: image_size={image_size}")
    data_dir = _data_dir(data_dir)
    builder = _prepared_builder(name, data_dir, progress)
    image_key, label_key = _features(builder)
    shape = tuple(builder.info.features[image_key].shape)
    resized = None in shape[:2]
    if resized:
        shape = (image_size, image_size, shape[2])
    classes = builder.info.features[label_key].num_classes
    sources = _splits(builder)
    sizes = {split: builder.info.splits[source].num_examples for split, source in sources.items()}

    def build(directory: Path) -> int:
        total = sum(sizes.values())
        with tqdm(
            total=total, desc=f"decoding {name}", unit="img", disable=None if progress else True
        ) as bar:
            for split, source in sources.items():
                arrays, filled = empty_split(directory, split, sizes[split], shape), 0
                for x, y in _decoded(builder, source, image_key, label_key, shape, resized):
                    arrays.x[filled : filled + len(y)] = x
                    arrays.y[filled : filled + len(y)] = y
                    filled += len(y)
                    bar.update(len(y))
                if filled != sizes[split]:
                    raise DataError(
                        f"Split {source!r} of {name!r} in {builder.data_path} must hold "
                        f"{sizes[split]} images; prepare it again. Received: {filled} images"
                    )
        return classes

    key = {
        "name": name,
        "builder": builder.info.full_name,
        "data_path": str(builder.data_path),
        "splits": {source: sizes[split] for split, source in sources.items()},
        "image_shape": shape,
    }
    return cached(key, build)


def _data_dir(data_dir: str | None) -> str:
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    # An address such as gs://bucket/folder is no path of this machine.
    return chosen if "://" in chosen else os.path.abspath(os.path.expanduser(chosen))


def _prepared_builder(name: str, data_dir: str, progress: bool):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
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
            f"the form name, name/config or name:version. Received: {_summary(error)}"
        ) from error
    if not builder.info.splits:
        _features(builder)  # Known before the download: do not fetch gigabytes to refuse them.
        _download(builder, name, data_dir, progress)
    return builder


def _download(builder, name: str, data_dir: str, progress: bool) -> None:
    import tensorflow_datasets as tfds

    advice = (
        f"The data set {name!r} is not in {data_dir} and could not be downloaded. Give the "
        "directory that holds it with --data_dir or TFDS_DATA_DIR, or use 'glyphs', which needs "
        f"no download. {_found(data_dir)}"
    )
    # TFDS itself would retry for minutes when there is no network.
    if not builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not _online(builder.url_infos):
        raise DataError(f"{advice} Received: no answer from any of its servers")
    (tfds.enable_progress_bar if progress else tfds.disable_progress_bar)()
    try:
        with _quiet("urllib3.connectionpool"):
            builder.download_and_prepare()
    except Exception as error:  # Network, disk, missing packages, manual steps: all end here.
        raise DataError(f"{advice} Received: {_summary(error)}") from error


def _online(urls) -> bool:
    """Whether a server that TFDS would ask answers at all; yes if there is nothing to ask."""
    import requests

    hosts = list(dict.fromkeys(urlsplit(url).netloc for url in urls))
    for host in [*hosts[:2], "storage.googleapis.com"] if hosts else []:
        with contextlib.suppress(requests.RequestException):
            requests.head(f"https://{host}", timeout=_ANSWER_WITHIN)
            return True
    return not hosts


@contextlib.contextmanager
def _quiet(logger_name: str) -> Iterator[None]:
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _features(builder) -> tuple[str, str]:
    """The names of the image and the label in an example."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    named = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
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
            f"ClassLabel feature, 'label'. Received: {' '.join(repr(features).split())}"
        )
    return image_key, label_key


def _splits(builder) -> dict[str, str]:
    filled = [name for name, info in builder.info.splits.items() if info.num_examples]
    test = next((name for name in ("test", "validation") if name in filled), None)
    if "train" not in filled or test is None:
        raise DataError(
            f"The data set {builder.info.full_name!r} in {builder.data_path} must have a split "
            "'train', and 'test' or 'validation', with examples in them. "
            f"Received: splits {', '.join(filled) or 'none'}"
        )
    return {"train": "train", "test": test}


def _decoded(builder, split: str, image_key: str, label_key: str, shape, resized: bool):
    """Yields (images, labels) of a split as NumPy arrays, in the order on disk."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def image_and_label(example):
        image = example[image_key]
        if resized:
            image = tf.image.resize(image, shape[:2], antialias=True)
            image = tf.saturate_cast(tf.round(image), tf.uint8)
        return image, tf.cast(example[label_key], tf.int32)

    config = tfds.ReadConfig(try_autocache=False)
    try:
        examples = builder.as_dataset(split=split, shuffle_files=False, read_config=config)
        examples = examples.map(image_and_label, num_parallel_calls=tf.data.AUTOTUNE)
        yield from examples.batch(_BATCH).prefetch(2).as_numpy_iterator()
    except (tf.errors.OpError, OSError, AssertionError, ValueError) as error:
        raise DataError(
            f"Split {split!r} of {builder.info.full_name!r} in {builder.data_path} cannot be "
            f"read; prepare it again. Received: {_summary(error)}"
        ) from error


def _found(data_dir: str) -> str:
    infos = [
        info for depth in ("*/*", "*/*/*") for info in Path(data_dir).glob(f"{depth}/*_info.json")
    ]
    names = sorted({str(info.parent.relative_to(data_dir)) for info in infos})
    return f"Looked in {data_dir}, which holds {', '.join(names) or 'no data sets'}."


def _summary(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", width=400)
