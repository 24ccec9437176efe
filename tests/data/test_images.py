"""TFDS sets as data sets: the same images and labels, selected, resized and cached."""

import functools
import hashlib
import json

import numpy as np
import pytest

from bnkit import data
from bnkit.data import check, load
from bnkit.data.dataset import DataError
from bnkit.data.images import load_images

pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")

CLASSES = 3


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory, store, images):
    directory = tmp_path_factory.mktemp("tfds")
    store(directory, "fixed", {"train": images(7), "test": images(4, seed=1)})
    flat = [np.full([20 + 3 * n, 31, 1], 40 + n, np.uint8) for n in range(5)]
    grey = {"train": flat, "validation": flat[:2]}
    store(directory, "grey", grey, tfds.features.Image(shape=(None, None, 1)))
    store(directory, "equal", {"train": images(6), "test": images(6, seed=1)})
    unlabelled = (images(6, seed=2), np.full(6, -1))
    hidden = {"train": images(6), "test": unlabelled, "validation": images(5, seed=1)}
    store(directory, "hidden", hidden)
    return str(directory)


def loaded(name, data_dir, **splits):
    return load_images(name, data_dir=data_dir, progress=False, **splits)


def test_images_and_labels_are_those_on_disk(data_dir, images):
    dataset = loaded("fixed", data_dir)
    assert dataset.name == "fixed"
    assert dataset.classes == CLASSES
    assert dataset.input_shape == (6, 5, 3)
    # TFDS stores examples in an order of its own.
    for split, size, seed in ((dataset.train, 7, 0), (dataset.test, 4, 1)):
        stored = {
            picture.tobytes(): position % CLASSES
            for position, picture in enumerate(images(size, seed=seed))
        }
        in_split = {x.tobytes(): int(y) for x, y in zip(split.x, split.y, strict=True)}
        assert in_split == stored
        assert len(split) == size
    assert isinstance(dataset.train.x, np.memmap)


def test_decoded_once_and_found_by_the_environment(data_dir, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    first = load("fixed", data_dir=data_dir)
    assert "decoding fixed" in capsys.readouterr().err
    monkeypatch.setenv("TFDS_DATA_DIR", data_dir)
    second = load("fixed")
    assert second.fingerprint == first.fingerprint
    assert "decoding" not in capsys.readouterr().err


def test_images_of_many_sizes_are_resized_and_grey_stays_grey(data_dir):
    dataset = loaded("grey", data_dir, image_size=8)
    assert dataset.input_shape == (8, 8, 1)
    assert len(dataset.test) == 2
    # A flat picture stays flat, at its own level.
    levels = np.sort(dataset.train.x.reshape(5, -1), axis=0)
    np.testing.assert_array_equal(levels, np.repeat(40 + np.arange(5)[:, None], 64, axis=1))
    assert loaded("grey", data_dir, image_size=9).input_shape == (9, 9, 1)


@pytest.mark.parametrize("name", ["fixed", "grey", "glyphs"])
def test_a_check_knows_the_shape_and_the_classes_beforehand(name, data_dir, monkeypatch):
    few = functools.partial(data.load_glyphs, train_size=20, test_size=10)
    monkeypatch.setattr(data, "load_glyphs", few)
    monkeypatch.setattr(data.glyphs, "TRAIN_SIZE", 20)
    dataset = load(name, data_dir=data_dir, progress=False)
    expected = (dataset.input_shape, dataset.classes, len(dataset.train))
    assert check(name, data_dir=data_dir) == expected


def test_resizing_averages_what_it_leaves_out(tmp_path, store):
    stripes = np.zeros([64, 64, 1], np.uint8)
    stripes[:, ::2] = 200
    splits = {"train": [stripes], "test": [stripes]}
    store(tmp_path, "stripes", splits, tfds.features.Image(shape=(None, None, 1)))
    dataset = loaded("stripes", str(tmp_path), image_size=8)
    np.testing.assert_allclose(dataset.train.x.astype(float), 100, atol=12)


@pytest.mark.parametrize(
    ("train", "test", "expected_train", "expected_test"),
    [
        ("train[:4]", "train[4:]", [("train", 0, 4)], [("train", 4, 6)]),
        ("test", "train[50%:]", [("test", 0, 6)], [("train", 3, 6)]),
        ("test[5:]+train", "test[:2]", [("test", 5, 6), ("train", 0, 6)], [("test", 0, 2)]),
    ],
)
def test_split_expressions_cut_and_join(data_dir, train, test, expected_train, expected_test):
    whole = loaded("equal", data_dir)
    dataset = load("equal", data_dir=data_dir, train_split=train, test_split=test, progress=False)
    for split, pieces in ((dataset.train, expected_train), (dataset.test, expected_test)):
        for array in ("x", "y"):
            parts = [
                getattr(getattr(whole, name), array)[start:stop] for name, start, stop in pieces
            ]
            np.testing.assert_array_equal(getattr(split, array), np.concatenate(parts))


def test_each_choice_of_splits_has_a_cache_and_a_fingerprint_of_its_own(data_dir, tmp_path):
    choices = [
        {},
        {"train_split": "test", "test_split": "train"},  # Equal in size, and in names together.
        {"train_split": "train[:4]"},
        {"test_split": "test[:4]"},
        {"train_split": "train[:4]", "test_split": "train[4:]"},
    ]
    fingerprints = [loaded("equal", data_dir, **choice).fingerprint for choice in choices]
    assert len(set(fingerprints)) == len(choices)
    caches = [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert len(caches) == len(choices)
    assert [loaded("equal", data_dir, **c).fingerprint for c in choices] == fingerprints
    same = [{"train_split": "train[:66%]"}, {"test_split": "test[:100%]"}]
    again = [loaded("equal", data_dir, **choice).fingerprint for choice in same]
    assert again == [fingerprints[2], fingerprints[0]]
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == len(choices)


def test_the_default_splits_keep_the_cache_of_earlier_versions(data_dir, tmp_path):
    dataset = loaded("fixed", data_dir)
    key = {
        "name": "fixed",
        "builder": "fixed/1.0.0",
        "data_path": f"{data_dir}/fixed/1.0.0",
        "splits": {"train": 7, "test": 4},
        "image_shape": [6, 5, 3],
    }
    digits = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    assert (tmp_path / "cache" / f"fixed-{digits}" / "dataset.json").exists()
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.test):
        digest.update(f"({len(split)}, 6, 5, 3) |u1 ".encode() + split.x.tobytes())
        digest.update(f"({len(split)},) <i4 ".encode() + split.y.tobytes())
    assert dataset.fingerprint == digest.hexdigest()[:16]


def test_a_test_split_without_labels_gives_way_to_validation(data_dir):
    dataset = loaded("hidden", data_dir)
    assert len(dataset.test) == 5
    assert dataset.test.y.min() >= 0


@pytest.mark.parametrize("splits", [{"test_split": "test"}, {"train_split": "train[:4]+test"}])
def test_labels_out_of_range_in_a_chosen_split(data_dir, tmp_path, splits):
    (flag,) = splits
    with pytest.raises(DataError, match="must lie in 0 to 2; -1 stands for an unknown") as caught:
        loaded("hidden", data_dir, **splits)
    assert f"--{flag}. Received: labels from -1 to " in str(caught.value)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_no_split_serves(tmp_path, store, images):
    store(tmp_path, "alone", {"train": images(3)})
    with pytest.raises(DataError, match=r"no split 'test'.* --test_split=train\[90%:\]"):
        loaded("alone", str(tmp_path))


def test_image_size_out_of_range(data_dir):
    with pytest.raises(DataError, match="Received: image_size=0"):
        loaded("grey", data_dir, image_size=0)
