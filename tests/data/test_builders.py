"""TFDS sets: found, refused, downloaded and read; every refusal is one line that says why."""

import time

import numpy as np
import pytest

from bnkit.data import builders
from bnkit.data.dataset import DataError

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, store, images):
    directory = tmp_path_factory.mktemp("tfds")
    store(directory, "fixed", {"train": images(7), "test": images(4, seed=1)})
    number = tfds.features.Scalar(np.int64)
    store(directory, "number", {"train": images(2)}, label=number)
    return str(directory)


def test_a_set_on_disk_has_its_image_and_its_label(data_dir):
    builder = builders.prepared("fixed", data_dir, progress=False)
    assert builder.info.full_name == "fixed/1.0.0"
    assert builders.features(builder) == ("image", "label")


def test_read_gives_every_example_of_a_split_once(data_dir, images):
    builder = builders.prepared("fixed", data_dir, progress=False)
    batches = builders.read(builder, "train", lambda example: (example["image"], example["label"]))
    (pictures, labels), *rest = batches
    assert rest == []
    stored = {picture.tobytes(): position % 3 for position, picture in enumerate(images(7))}
    read = {x.tobytes(): int(y) for x, y in zip(pictures, labels, strict=True)}
    assert len(pictures) == 7 and read == stored


def test_read_leaves_features_undecoded(data_dir, images):
    builder = builders.prepared("fixed", data_dir, progress=False)
    (encoded,) = builders.read(builder, "train", lambda example: example["image"], ["image"])
    assert [picture[1:4] for picture in encoded] == [b"PNG"] * 7


def test_no_class_label(data_dir):
    builder = builders.prepared("number", data_dir, progress=False)
    with pytest.raises(DataError, match=r"no image classification set.* Received: .*Scalar"):
        builders.features(builder)


def test_not_images_is_said_before_any_download(tmp_path):
    with pytest.raises(DataError, match=r"imdb_reviews.*no image classification set.*Text\("):
        builders.prepared("imdb_reviews", str(tmp_path), progress=False)


def test_unknown_name(data_dir):
    with pytest.raises(DataError, match=r"'cifra10'.* cifar10, .*fixed/1.0.0") as caught:
        builders.prepared("cifra10", data_dir, progress=False)
    assert data_dir in str(caught.value)
    assert "\n" not in str(caught.value)


def test_malformed_name(data_dir):
    with pytest.raises(DataError, match=r"'no name/'.* name:version. Received: ValueError"):
        builders.prepared("no name/", data_dir, progress=False)


def test_absent_and_offline_is_said_at_once(data_dir, monkeypatch, tmp_path):
    import requests

    def unreachable(*args, **kwargs):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "head", unreachable)
    start = time.monotonic()
    with pytest.raises(
        DataError, match=r"'mnist' is not in .*--data_dir or TFDS_DATA_DIR"
    ) as caught:
        builders.prepared("mnist", data_dir, progress=False)
    assert time.monotonic() - start < 5
    assert data_dir in str(caught.value)
    assert "fixed/1.0.0" in str(caught.value)
    with pytest.raises(DataError, match=f"'mnist' is not in {tmp_path}/empty"):
        builders.prepared("mnist", str(tmp_path / "empty"), progress=False)
    assert not (tmp_path / "empty").exists()


def test_a_failed_download_gives_its_reason(tmp_path, monkeypatch):
    def fails(self, **kwargs):
        raise OSError("the server is on fire")

    monkeypatch.setattr("requests.head", lambda *args, **kwargs: None)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fails)
    with pytest.raises(DataError, match=r"'mnist'.* Received: OSError: the server is on fire"):
        builders.prepared("mnist", str(tmp_path), progress=False)


def test_a_damaged_set_on_disk(tmp_path, store, images):
    store(tmp_path, "damaged", {"train": images(3)})
    for file in tmp_path.glob("damaged/1.0.0/*train*"):
        file.write_bytes(file.read_bytes()[:-9])
    builder = builders.prepared("damaged", str(tmp_path), progress=False)
    with pytest.raises(DataError, match=r"Split 'train' of 'damaged/1.0.0' .* cannot be read"):
        list(builders.read(builder, "train", lambda example: example["label"]))


def test_an_error_from_elsewhere_is_one_short_line():
    shown = builders.summary(ValueError("one\n  two " + 1000 * "three "))
    assert shown.startswith("ValueError: one two three") and len(shown) <= 400
