import time

import numpy as np
import pytest

from bnkit.data import load
from bnkit.data.dataset import DataError
from bnkit.data.images import load_images

tf = pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")

CLASSES = 3


def images(size, shape, seed):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, shape).astype(np.uint8) for _ in range(size)]


def store(data_dir, name, splits, image, label=None):
    """Prepares a TFDS set on disk, without network."""
    label = label or tfds.features.ClassLabel(num_classes=CLASSES)
    features = tfds.features.FeaturesDict({"image": image, "label": label})

    def examples(pictures):
        def generate():
            for position, picture in enumerate(pictures):
                yield {"image": picture, "label": position % CLASSES}

        signature = {
            "image": tf.TensorSpec([None, None, image.shape[2]], tf.uint8),
            "label": tf.TensorSpec([], tf.int64),
        }
        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        features=features,
        split_datasets={split: examples(pictures) for split, pictures in splits.items()},
        data_dir=str(data_dir),
    )


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tfds")
    fixed = {"train": images(7, (6, 5, 3), 0), "test": images(4, (6, 5, 3), 1)}
    store(directory, "fixed", fixed, tfds.features.Image(shape=(6, 5, 3), encoding_format="png"))
    flat = [np.full([20 + 3 * n, 31, 1], 40 + n, np.uint8) for n in range(5)]
    grey = {"train": flat, "validation": flat[:2]}
    store(directory, "grey", grey, tfds.features.Image(shape=(None, None, 1)))
    store(directory, "alone", {"train": flat}, tfds.features.Image(shape=(None, None, 1)))
    number = tfds.features.Scalar(np.int64)
    store(directory, "number", grey, tfds.features.Image(shape=(None, None, 1)), number)
    return directory


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


def test_images_and_labels_are_those_on_disk(data_dir):
    dataset = load_images("fixed", data_dir=str(data_dir), progress=False)
    assert dataset.name == "fixed"
    assert dataset.classes == CLASSES
    assert dataset.input_shape == (6, 5, 3)
    # TFDS stores examples in an order of its own.
    for split, size, seed in ((dataset.train, 7, 0), (dataset.test, 4, 1)):
        stored = {
            picture.tobytes(): position % CLASSES
            for position, picture in enumerate(images(size, (6, 5, 3), seed))
        }
        loaded = {x.tobytes(): int(y) for x, y in zip(split.x, split.y, strict=True)}
        assert loaded == stored
        assert len(split) == size
    assert isinstance(dataset.train.x, np.memmap)


def test_decoded_once_and_found_by_the_environment(data_dir, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    first = load("fixed", data_dir=str(data_dir))
    assert "decoding fixed" in capsys.readouterr().err
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    second = load("fixed")
    assert second.fingerprint == first.fingerprint
    assert "decoding" not in capsys.readouterr().err


def test_images_of_many_sizes_are_resized_and_grey_stays_grey(data_dir):
    dataset = load_images("grey", data_dir=str(data_dir), image_size=8, progress=False)
    assert dataset.input_shape == (8, 8, 1)
    assert len(dataset.test) == 2
    # A flat picture stays flat, at its own level.
    levels = np.sort(dataset.train.x.reshape(5, -1), axis=0)
    np.testing.assert_array_equal(levels, np.repeat(40 + np.arange(5)[:, None], 64, axis=1))
    other = load_images("grey", data_dir=str(data_dir), image_size=9, progress=False)
    assert other.input_shape == (9, 9, 1)


def test_resizing_averages_what_it_leaves_out(tmp_path):
    stripes = np.zeros([64, 64, 1], np.uint8)
    stripes[:, ::2] = 200
    splits = {"train": [stripes], "test": [stripes]}
    store(tmp_path, "stripes", splits, tfds.features.Image(shape=(None, None, 1)))
    dataset = load_images("stripes", data_dir=str(tmp_path), image_size=8, progress=False)
    np.testing.assert_allclose(dataset.train.x.astype(float), 100, atol=12)


def test_no_test_split(data_dir):
    with pytest.raises(DataError, match=r"'test' or 'validation'.* Received: splits train$"):
        load_images("alone", data_dir=str(data_dir), progress=False)


def test_no_class_label(data_dir):
    with pytest.raises(DataError, match=r"no image classification set.* Received: .*Scalar"):
        load_images("number", data_dir=str(data_dir), progress=False)


def test_not_images_is_said_before_any_download(tmp_path):
    with pytest.raises(DataError, match=r"imdb_reviews.*no image classification set.*Text\("):
        load_images("imdb_reviews", data_dir=str(tmp_path), progress=False)


def test_unknown_name(data_dir):
    with pytest.raises(DataError, match=r"'cifra10'.* cifar10, .*fixed/1.0.0") as caught:
        load_images("cifra10", data_dir=str(data_dir), progress=False)
    assert str(data_dir) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_malformed_name(data_dir):
    with pytest.raises(DataError, match=r"'no name/'.* name:version. Received: ValueError"):
        load_images("no name/", data_dir=str(data_dir), progress=False)


def test_absent_and_offline_is_said_at_once(data_dir, monkeypatch):
    import requests

    def unreachable(*args, **kwargs):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "head", unreachable)
    start = time.monotonic()
    with pytest.raises(
        DataError, match=r"'mnist' is not in .*--data_dir or TFDS_DATA_DIR"
    ) as caught:
        load_images("mnist", data_dir=str(data_dir), progress=False)
    assert time.monotonic() - start < 5
    assert str(data_dir) in str(caught.value)
    assert "grey/1.0.0" in str(caught.value)
    assert not (data_dir / "mnist").exists()


def test_a_failed_download_gives_its_reason(tmp_path, monkeypatch):
    def fails(self, **kwargs):
        raise OSError("the server is on fire")

    monkeypatch.setattr("requests.head", lambda *args, **kwargs: None)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fails)
    with pytest.raises(DataError, match=r"'mnist'.* Received: OSError: the server is on fire"):
        load_images("mnist", data_dir=str(tmp_path), progress=False)


def test_a_damaged_set_on_disk(tmp_path):
    pictures = images(3, (6, 5, 3), 0)
    image = tfds.features.Image(shape=(6, 5, 3), encoding_format="png")
    store(tmp_path, "damaged", {"train": pictures, "test": pictures}, image)
    for file in tmp_path.glob("damaged/1.0.0/*train*"):
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"Split 'train' of 'damaged/1.0.0' .* cannot be read"):
        load_images("damaged", data_dir=str(tmp_path), progress=False)


def test_image_size_out_of_range(data_dir):
    with pytest.raises(DataError, match="Received: image_size=0"):
        load_images("grey", data_dir=str(data_dir), image_size=0)
