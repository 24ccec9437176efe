"""TFDS sets on disk, made without network, and a cache of each test's own."""

import numpy as np
import pytest

CLASSES = 3


@pytest.fixture(scope="session")
def images():
    """`images(size, shape, seed)`: random pictures."""

    def make(size, shape=(6, 5, 3), seed=0):
        generator = np.random.default_rng(seed)
        return [generator.integers(0, 256, shape).astype(np.uint8) for _ in range(size)]

    return make


@pytest.fixture(scope="session")
def store():
    """`store(data_dir, name, splits, image=None, label=None)` prepares a TFDS set.

    `splits`: name -> pictures, whose labels count 0, 1, 2, 0, ...; or -> (pictures, labels).
    """
    tf = pytest.importorskip("tensorflow")
    tfds = pytest.importorskip("tensorflow_datasets")

    def examples(content, channels):
        pictures, labels = (
            content if isinstance(content, tuple) else (content, np.arange(len(content)) % CLASSES)
        )

        def generate():
            for picture, label in zip(pictures, labels, strict=True):
                yield {"image": picture, "label": label}

        signature = {
            "image": tf.TensorSpec([None, None, channels], tf.uint8),
            "label": tf.TensorSpec([], tf.int64),
        }
        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    def prepare(data_dir, name, splits, image=None, label=None):
        image = image or tfds.features.Image(shape=(6, 5, 3), encoding_format="png")
        label = label or tfds.features.ClassLabel(num_classes=CLASSES)
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict({"image": image, "label": label}),
            split_datasets={
                split: examples(content, image.shape[2]) for split, content in splits.items()
            },
            data_dir=str(data_dir),
        )

    return prepare


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
