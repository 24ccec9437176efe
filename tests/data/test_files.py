"""Data of the user's own: what is read is what was written, and errors name the file."""

import numpy as np
import PIL.Image
import pytest

from bnkit.data import DataError
from bnkit.data.files import is_path, load_files, look_at_files

SHAPE = (6, 5, 3)


def save(file, seed=0, size=SHAPE[:2]):
    """A picture in a file; returns its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(file)
    return pixels


def folders(root, test=True, train=3):
    """`(train, test)`: class -> pictures, as they were written below `root`."""
    written = []
    for role, count in (("train", train), ("test", 2 if test else 0)):
        written.append(
            {
                name: [
                    save(root / role / name / f"{i}.png", seed=[count, ord(name[0]), i])
                    for i in range(count)
                ]
                for name in ("cat", "dog")
            }
        )
    return written


def arrays(samples=12, shape=SHAPE, dtype=np.uint8, classes=3):
    generator = np.random.default_rng(0)
    x = {role: generator.integers(0, 256, (samples, *shape)) for role in ("train", "test")}
    y = np.arange(samples) % classes
    return {
        **{f"x_{role}": values.astype(dtype) for role, values in x.items()},
        "y_train": y,
        "y_test": y[::-1].copy(),
    }


def test_folders_of_classes_are_read(tmp_path):
    train, test = folders(tmp_path / "pets")
    dataset = load_files(str(tmp_path / "pets"), progress=False)
    assert (dataset.classes, dataset.input_shape, dataset.name) == (2, SHAPE, "pets")
    for split, written in ((dataset.train, train), (dataset.test, test)):
        expected = [*written["cat"], *written["dog"]]
        np.testing.assert_array_equal(split.x, expected)
        assert split.y.tolist() == [0] * len(written["cat"]) + [1] * len(written["dog"])
    assert look_at_files(str(tmp_path / "pets")) == (SHAPE, 2, 6)


def test_without_test_images_every_tenth_of_each_class_is_held_out(tmp_path):
    train, _ = folders(tmp_path, test=False, train=12)
    dataset = load_files(str(tmp_path), progress=False)
    # In the order of the names: 0, 1, 10, 11, 2, ..., of which 0 and 8.
    np.testing.assert_array_equal(
        dataset.test.x, [train[name][i] for name in ("cat", "dog") for i in (0, 8)]
    )
    assert dataset.test.y.tolist() == [0, 0, 1, 1] and len(dataset.train) == 20
    seen = {image.tobytes() for image in dataset.train.x}
    assert not seen & {image.tobytes() for image in dataset.test.x}


def test_images_get_one_size_and_three_channels(tmp_path):
    folders(tmp_path)
    white = PIL.Image.new("L", (50, 40), 255)
    white.save(tmp_path / "train" / "cat" / "white.png")
    assert look_at_files(str(tmp_path)) == ((32, 32, 3), 2, 7)
    dataset = load_files(str(tmp_path), image_size=8, progress=False)
    assert dataset.input_shape == (8, 8, 3) == look_at_files(str(tmp_path), image_size=8)[0]
    assert (dataset.train.x[3] == 255).all()


def test_shrinking_averages(tmp_path):
    board = np.zeros((8, 8, 3), np.uint8)
    board[:, ::2] = 200
    folders(tmp_path)
    PIL.Image.fromarray(board).save(tmp_path / "train" / "cat" / "0.png")
    dataset = load_files(str(tmp_path), image_size=2, progress=False)
    assert np.abs(dataset.train.x[0].astype(int) - 100).max() < 20


def test_a_changed_image_is_read_again(tmp_path):
    folders(tmp_path)
    before = load_files(str(tmp_path), progress=False)
    pixels = save(tmp_path / "train" / "cat" / "1.png", seed=99)
    after = load_files(str(tmp_path), progress=False)
    np.testing.assert_array_equal(after.train.x[1], pixels)
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize("form", ["npz", "npy"])
@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        (SHAPE, np.uint8, SHAPE),
        ((6, 5), np.uint8, (6, 5, 1)),
        ((7,), np.float64, (7,)),
        (SHAPE, np.float32, SHAPE),
    ],
)
def test_arrays_are_read(tmp_path, form, shape, dtype, expected):
    written = arrays(shape=shape, dtype=dtype)
    if form == "npz":
        path = tmp_path / "data.npz"
        np.savez(path, **written)
    else:
        path = tmp_path
        for name, values in written.items():
            np.save(path / f"{name}.npy", values)
    dataset = load_files(str(path))
    assert dataset.input_shape == expected and dataset.classes == 3
    assert look_at_files(str(path)) == (expected, 3, 12)
    np.testing.assert_array_equal(
        dataset.train.x.reshape(written["x_train"].shape), written["x_train"]
    )
    np.testing.assert_array_equal(dataset.test.y, written["y_test"])
    prepared = np.asarray(dataset.prepare(dataset.train.x)).astype(np.float64)
    axes = tuple(range(prepared.ndim - 1))
    np.testing.assert_allclose(prepared.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(prepared.std(axes), 1, atol=1e-5)


def test_a_feature_that_is_constant_is_shifted_only(tmp_path):
    written = arrays(shape=(3,), dtype=np.float32)
    written["x_train"][:, 1] = 0.1
    np.savez(tmp_path / "data.npz", **written)
    dataset = load_files(str(tmp_path / "data.npz"))
    assert dataset.deviation[1] == 1
    np.testing.assert_allclose(np.asarray(dataset.prepare(dataset.train.x))[:, 1], 0, atol=1e-7)


def broken_arrays(**changed):
    return {**arrays(), **changed}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"x_train": np.zeros((12, 2, 2, 2, 2), np.uint8)},
            r"x_train of .*shape \(12, 2, 2, 2, 2\)",
        ),
        ({"x_test": np.zeros((12, *SHAPE), np.int64)}, "x_test of .* must be uint8 or floats"),
        (
            {"x_train": np.full((12, *SHAPE), np.nan)},
            r"x_train of .* must be finite.*nan at \(0, 0",
        ),
        ({"x_test": np.zeros((12, 4), np.uint8)}, "must have samples of one shape and type"),
        ({"y_train": np.zeros(5, int)}, "y_train of .* a label for each of the 12 samples"),
        (
            {"y_train": np.arange(12) - 1},
            "y_train of .* whole numbers from 0. Received: .* from -1",
        ),
        ({"y_train": np.zeros(12)}, "whole numbers from 0. Received: float64"),
        (
            {"y_train": np.arange(12) % 3 * 2},
            "every label from 0 to 4. Received: none with label 1",
        ),
        ({"y_test": np.full(12, 3)}, "y_test of .* 0 to 2. Received: 3"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, changed, message):
    np.savez(tmp_path / "data.npz", **broken_arrays(**changed))
    with pytest.raises(DataError, match=message):
        load_files(str(tmp_path / "data.npz"))


def test_what_is_not_there_is_named(tmp_path):
    def refused(path, message, **options):
        for function in (load_files, look_at_files):
            with pytest.raises(DataError, match=message) as caught:
                function(str(path), **options)
            assert "\n" not in str(caught.value)

    refused(tmp_path / "nothing", "There is no .*nothing. Valid is a directory with train")
    refused(tmp_path, "has no folder 'train'")
    (tmp_path / "train" / "cat").mkdir(parents=True)
    refused(tmp_path, "a folder for each class, two at least. Received: cat")
    (tmp_path / "train" / "dog").mkdir()
    refused(tmp_path, "cat holds no images")
    folders(tmp_path, test=False)
    save(tmp_path / "test" / "cow" / "0.png")
    refused(tmp_path, "there is no class 'cow' in .*train")
    np.savez(tmp_path / "some.npz", x_train=np.zeros(3))
    refused(tmp_path / "some.npz", "must hold the arrays x_train, .*Received: x_train")
    refused(tmp_path / "some.npz", "--image_size is for folders of images", image_size=8)
    (tmp_path / "text.npz").write_text("no archive")
    refused(tmp_path / "text.npz", "text.npz cannot be read as NumPy arrays")
    np.save(tmp_path / "x_train.npy", np.zeros(3))
    refused(tmp_path, "lacks .*y_train.npy")


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    folders(tmp_path)
    (tmp_path / "train" / "dog" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"dog.1\.png cannot be read as an image"):
        load_files(str(tmp_path), progress=False)


def test_nothing_is_unpickled(tmp_path):
    written = broken_arrays(y_train=np.array([print] * 12, dtype=object))
    np.savez(tmp_path / "data.npz", **written)
    with pytest.raises(DataError, match=r"y_train of .* cannot be read"):
        load_files(str(tmp_path / "data.npz"))


def test_paths_are_told_from_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets").mkdir()
    for name in ("./x", "/x", "~/x", "x/y.npz", "pets", "../x"):
        assert is_path(name)
    for name in ("glyphs", "cifar10", "name/config", "name:1.0.0"):
        assert not is_path(name)
