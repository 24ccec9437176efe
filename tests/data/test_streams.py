"""Images decoded when they are asked for: the batches are those of the decoded set, bit for bit."""

import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from bnkit.data import Batches, DataError, cache, load
from bnkit.data.dataset import Split
from bnkit.data.streams import Ahead

pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")

BATCH_SIZE = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """PNG images of several sizes, 26 of them for training."""
    root = tmp_path_factory.mktemp("pets")
    generator = np.random.default_rng(0)
    for role, count in (("train", 13), ("test", 2)):
        for name in ("cat", "dog"):
            (root / role / name).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (20 + i, 24, 3)).astype(np.uint8)
                PIL.Image.fromarray(pixels).save(root / role / name / f"{i}.png")
    return str(root)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, store, images):
    directory = tmp_path_factory.mktemp("tfds")
    store(
        directory, "pictures", {"train": images(23), "more": images(9, seed=2), "test": images(4)}
    )
    return str(directory)


def both(name, **options):
    return (load(name, progress=False, input=input, **options) for input in ("decoded", "streamed"))


def assert_same_batches(decoded, streamed, augment=("crop", "flip")):
    arguments = {"batch_size": BATCH_SIZE, "seed": 3, "augment": augment}
    expected, x = (Batches(one.train, **arguments) for one in (decoded, streamed))
    for start, stop in (
        *((0, 1), (0, 5), (0, 1), (1, 4)),  # The start, with a look at steps to come.
        *((4, 8), (5, 13), (0, 5), (5, 6)),  # Over the end of an epoch; back to the start.
        *((300, 302), (302, 303)),  # A run that goes on in the middle of an epoch.
    ):
        for one, other in zip(x.stack(start, stop), expected.stack(start, stop), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other, err_msg=f"{start} to {stop}")


def assert_same_sets(decoded, streamed):
    assert isinstance(decoded.train.x, np.memmap)
    assert not isinstance(streamed.train.x, np.ndarray)
    for one in ("name", "classes", "fingerprint", "mean", "deviation", "input_shape"):
        assert getattr(streamed, one) == getattr(decoded, one)
    np.testing.assert_array_equal(streamed.train.y, decoded.train.y)
    np.testing.assert_array_equal(streamed.test.x, decoded.test.x)
    np.testing.assert_array_equal(streamed.train.x[3:9], decoded.train.x[3:9])
    assert streamed.train.x[3:3].shape == decoded.train.x[3:3].shape
    assert streamed.train.x.nbytes == decoded.train.x.nbytes


def test_a_folder_gives_what_it_gives_decoded(folder):
    decoded, streamed = both(folder, image_size=16)
    assert_same_sets(decoded, streamed)
    assert_same_batches(decoded, streamed)


@pytest.mark.parametrize("size", [None, 4])
def test_a_set_of_tfds_gives_what_it_gives_decoded(data_dir, size):
    splits = {"train_split": "train[5:]+more[:4]", "data_dir": data_dir, "image_size": size}
    decoded, streamed = both("pictures", **splits)
    assert len(streamed.train) == 22
    assert_same_sets(decoded, streamed)
    assert_same_batches(decoded, streamed, augment=())


def test_records_of_several_files_are_found(tmp_path, images):
    """Many files are read in turns, so the order of a split is not that of its files."""
    pictures = images(60)

    class Sharded(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(6, 5, 3)),
                        "label": tfds.features.ClassLabel(num_classes=2),
                    }
                )
            )

        def _split_generators(self, manager):
            return {"train": self._generate_examples(60), "test": self._generate_examples(4)}

        def _generate_examples(self, count):
            for i, picture in enumerate(pictures[:count]):
                yield i, {"image": picture, "label": i % 2}

    config = tfds.download.DownloadConfig(num_shards=3)
    Sharded(data_dir=str(tmp_path)).download_and_prepare(download_config=config)
    decoded, streamed = both("sharded", data_dir=str(tmp_path))
    assert len(list(tmp_path.rglob("*train*-of-00003"))) == 3
    np.testing.assert_array_equal(streamed.train.x[:], decoded.train.x)
    np.testing.assert_array_equal(streamed.train.y, decoded.train.y)


def test_opened_again_it_reads_no_training_image(folder, monkeypatch):
    load(folder, progress=False, input="streamed")
    monkeypatch.setattr("bnkit.data.files._read_image", None)
    again = load(folder, progress=False, input="streamed")
    assert len(again.train) == 26
    labels = next(cache.cache_root().glob("*/train_y.npy"))
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x01")
    with pytest.raises(TypeError):  # Damaged, so it is built again.
        load(folder, progress=False, input="streamed")


def test_an_image_that_cannot_be_read_is_named(folder):
    load(folder, progress=False, input="streamed", image_size=9)
    streamed = load(folder, progress=False, input="streamed", image_size=9)
    batches = Batches(streamed.train, BATCH_SIZE, seed=0)
    position = int(batches.indices(2)[0])
    name, number = divmod(position, 13)
    # In the order of the names.
    file = sorted(f"{i}.png" for i in range(13))[number]
    path = f"{folder}/train/{('cat', 'dog')[name]}/{file}"
    with open(path, "rb+") as one:
        content = one.read()
        one.seek(0)
        one.truncate()
    try:
        with pytest.raises(DataError, match=f"{path} cannot be read as an image"):
            batches.stack(0, 4)
    finally:
        with open(path, "wb") as one:
            one.write(content)


def test_a_damaged_record_is_an_error_of_the_split(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "tfds")
    options = {"data_dir": str(tmp_path / "tfds"), "progress": False, "input": "streamed"}
    load("pictures", **options)
    streamed = load("pictures", **options)
    (file,) = (tmp_path / "tfds").rglob("*train.tfrecord*")
    content = bytearray(file.read_bytes())
    content[-30] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"Split 'train' of 'pictures.*prepare it again.*DataLoss"):
        streamed.train.x[:]


def test_chosen_by_size(folder, monkeypatch):
    # 30 images of 32x32x3 are 92 kB, of 64x64x3 369 kB.
    monkeypatch.setenv("BNKIT_CACHE_GB", "0.0001")
    assert isinstance(load(folder, progress=False).train.x, np.memmap)
    with pytest.raises(DataError, match="let --input=streamed"):
        load(folder, image_size=64, progress=False, input="decoded")
    # What is there is not left unused.
    monkeypatch.setenv("BNKIT_CACHE_GB", "0.00009")
    assert isinstance(load(folder, progress=False).train.x, np.memmap)
    assert not isinstance(load(folder, image_size=64, progress=False).train.x, np.ndarray)


def test_an_array_is_read_ahead_with_the_same_batches(tmp_path):
    generator = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", generator.integers(0, 256, (30, 8, 8, 3)).astype(np.uint8))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    split = Split(x, np.arange(30, dtype=np.int32))
    for augment in ((), ("flip",)):
        arguments = {"batch_size": 7, "seed": 1, "augment": augment}
        plain, ahead = (Batches(split, **arguments, reads_ahead=one) for one in (False, True))
        for start, stop in ((5, 9), (6, 7), (7, 12), (0, 2), (40, 41)):
            for one, other in zip(ahead.stack(start, stop), plain.stack(start, stop), strict=True):
                np.testing.assert_array_equal(one, other)


def test_what_lies_behind_is_forgotten():
    read = []

    def reading(step):
        read.append(step)
        return step

    ahead = Ahead(reading, size=50e6)  # Two of them are read ahead.
    assert ahead.take(3, 6) == [3, 4, 5]
    assert ahead.take(4, 5) == [4]
    assert ahead.take(3, 5) == [3, 4]
    assert ahead.take(5, 8) == [5, 6, 7]
    ahead.close()
    # Of 8 and 9 perhaps none; all others once, and those behind once more.
    assert sorted(step for step in read if step < 8) == [3, 3, 4, 4, 5, 6, 7]
    assert max(read) <= 9 and list(ahead._kept) == [5, 6, 7, 8, 9]


def test_a_process_ends_that_has_not_closed_its_batches(folder):
    program = f"""
from bnkit.data import Batches, load
batches = Batches(load({folder!r}, input="streamed", progress=False).train, 4, seed=0)
print(batches.stack(0, 1)[0].shape)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=100)
    assert found.returncode == 0 and found.stdout == b"(1, 4, 32, 32, 3)\n"
