"""Data of the user's own: folders of images by class, or NumPy arrays in files."""

import contextlib
import hashlib
import itertools
import json
import os
from pathlib import Path

import numpy as np
import PIL.Image

from bnkit import waiting
from bnkit.data import streams
from bnkit.data.cache import cached, empty_array, empty_split, is_streamed
from bnkit.data.dataset import DataError, Form, Split, make_dataset

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
# Folders of test images, the first that is there; without one, every tenth image is held out.
_TEST_FOLDERS = ("test", "validation", "val", "valid")
_HELD_OUT = 10
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# Height and width that images of different sizes get, in pixels.
_IMAGE_SIZE = 32
_VALID = (
    "a directory with train/CLASS/*.png (and test/CLASS/*.png), an .npz file with "
    f"{', '.join(ARRAYS)}, or a directory with these as .npy files"
)


def is_path(name):
    """Whether the name of a data set is that of a file or a directory of the user's own."""
    return name.startswith((".", "/", "~")) or name.endswith(".npz") or os.path.isdir(name)


def load_files(name, *, image_size=None, progress=True, input="auto"):
    """Loads a data set from files.

    Args:
        name: Path of a directory of images, of an .npz file, or of a directory of .npy files.
            Images are PNG, JPEG and the like, in `train/CLASS/` and `test/CLASS/`; classes count
            from 0 in the order of their names. Without a folder `test`, every tenth image of each
            class is held out. Arrays are `x_train, y_train, x_test, y_test`: images
            `[n, height, width, channels]` or `[n, height, width]`, or vectors `[n, features]`,
            uint8 or floats, and labels `[n]`, whole numbers from 0.
        image_size: Height and width that images in folders are resized to, in pixels; by default
            they keep theirs if all have the same, and else it is 32.
        progress: Whether to show how far reading is.
        input: As for `bnkit.data.load`; arrays stay where they are.

    Returns:
        A `Dataset`.

    Raises:
        DataError: With the file and what is wrong with it.
    """
    path = _existing(name)
    if _are_images(path):
        return _load_images(name, path, image_size, progress, input)
    if image_size is not None:
        raise DataError(
            f"--image_size is for folders of images; arrays keep their shape. Received: {name}"
        )
    arrays = _read_arrays(path)
    train, test = (_split(path, arrays, role) for role in ("train", "test"))
    _check_alike(path, train, test)
    classes = _classes(path, train.y, test.y)
    return make_dataset(name, train, test, classes)


def look_at_files(name, *, image_size=None):
    """The `Form` of what `load_files` will give.

    Raises:
        DataError: As for `load_files`, but for single images that cannot be read.
    """
    path = _existing(name)
    if not _are_images(path):
        dataset = load_files(name, image_size=image_size, progress=False)
        return Form(dataset.input_shape, dataset.classes, len(dataset.train))
    classes, found = _find_images(path)
    return Form((*_size(found, image_size), 3), len(classes), len(found["train"]))


def _existing(name):
    path = Path(name).expanduser()
    if not path.exists():
        raise DataError(f"There is no {path}. Valid is {_VALID}. Received: --dataset={name}")
    return path


def _are_images(path):
    return path.is_dir() and not (path / f"{ARRAYS[0]}.npy").exists()


# Images in folders.


def _load_images(name, path, image_size, progress, input):
    classes, found = _find_images(path)
    size = _size(found, image_size)
    listed = [
        [str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns]
        for files in found.values()
        for file, _ in files
    ]
    key = {
        "name": path.resolve().name,
        "path": str(path.resolve()),
        "files": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        "image_size": size,
        "pillow": PIL.__version__,
    }

    pixels = sum(map(len, found.values())) * size[0] * size[1]
    streamed = is_streamed(key, 3 * pixels, input)

    def build(directory):
        done = 0
        decoded = {"test": found["test"]} if streamed else found
        total = sum(map(len, decoded.values()))
        with waiting.shown(total, f"reading {name}", "image", is_shown=progress) as shown:
            for role, files in decoded.items():
                split = empty_split(directory, role, len(files), (*size, 3))
                for position, (file, label) in enumerate(files):
                    split.x[position] = _read_image(file, size)
                    split.y[position] = label
                    done += 1
                    if done % 100 == 0:
                        shown.at(done)
        if streamed:
            labels = empty_array(directory, "train_y", np.int32, (len(found["train"]),))
            labels[:] = [label for _, label in found["train"]]
        return len(classes)

    if streamed:
        images = _stream([file for file, _ in found["train"]], size)
        return cached(key | {"input": "streamed"}, build, lambda directory: images, progress)
    return cached(key, build)


def _stream(files, size):
    """The `Stream` of images in files."""

    def read(positions):
        return np.stack([_read_image(files[position], size) for position in positions])

    return streams.Stream((len(files), *size, 3), read)


def _find_images(path):
    """The names of the classes, and role -> list of `(file, label)`."""
    train = path / "train"
    if not train.is_dir():
        raise DataError(f"{path} has no folder 'train'. Valid is {_VALID}")
    names = sorted(one.name for one in train.iterdir() if one.is_dir())
    if len(names) < 2:
        raise DataError(
            f"{train} must have a folder for each class, two at least. Received: "
            f"{', '.join(names) or 'none'}"
        )
    found = {"train": _files_of(train, names)}
    test = next((path / one for one in _TEST_FOLDERS if (path / one).is_dir()), None)
    if test is not None:
        others = sorted({one.name for one in test.iterdir() if one.is_dir()} - set(names))
        if others:
            raise DataError(f"{test / others[0]}: there is no class {others[0]!r} in {train}")
        found["test"] = _files_of(test, names)
        if not found["test"]:
            raise DataError(f"{test} holds no images in folders of classes")
        return names, found
    by_class = itertools.groupby(found["train"], key=lambda one: one[1])
    held_out = {one for _, files in by_class for one in list(files)[::_HELD_OUT]}
    return names, {
        "train": [one for one in found["train"] if one not in held_out],
        "test": [one for one in found["train"] if one in held_out],
    }


def _files_of(folder, names):
    """`(file, label)` of all images below a folder, in an order that mixes no classes."""
    found = []
    for label, name in enumerate(names):
        files = sorted(
            file for file in (folder / name).rglob("*") if file.suffix.lower() in _SUFFIXES
        )
        if not files and folder.name == "train":
            raise DataError(f"{folder / name} holds no images; valid are {', '.join(_SUFFIXES)}")
        found += [(file, label) for file in files]
    return found


def _size(found, image_size):
    """Height and width that all images get."""
    if image_size is not None:
        return image_size, image_size
    sizes = set()
    for file, _ in (one for files in found.values() for one in files):
        with _readable(file), PIL.Image.open(file) as image:
            sizes.add(image.size)
        if len(sizes) > 1:
            return _IMAGE_SIZE, _IMAGE_SIZE
    ((width, height),) = sizes
    return height, width


def _read_image(file, size):
    """An image in three channels, uint8 `[height, width, 3]`, by Keras's reader."""
    import keras

    with _readable(file):
        # Pillow's, which averages over what one pixel comes to stand for.
        image = keras.utils.load_img(file, target_size=size, interpolation="bilinear")
        return np.asarray(image)


@contextlib.contextmanager
def _readable(file):
    """Turns whatever reading an image raises into an error that names its file."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"{file} cannot be read as an image: {error}") from error


# Arrays.


def _read_arrays(path):
    if path.is_dir():
        files = {name: path / f"{name}.npy" for name in ARRAYS}
        missing = [str(file) for file in files.values() if not file.exists()]
        if missing:
            raise DataError(f"{path} lacks {', '.join(missing)}. Valid is {_VALID}")
        return {name: _load(file) for name, file in files.items()}
    archive = _load(path)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(f"{path} is a single array. Valid is {_VALID}")
    with archive:
        missing = [name for name in ARRAYS if name not in archive]
        if missing:
            raise DataError(
                f"{path} must hold the arrays {', '.join(ARRAYS)}. "
                f"Received: {', '.join(archive.files) or 'none'}"
            )
        arrays = {}
        for name in ARRAYS:
            try:
                arrays[name] = archive[name]
            except Exception as error:  # Archives and headers that are damaged raise many kinds.
                raise DataError(f"{name} of {path} cannot be read: {error}") from error
        return arrays


def _load(file):
    try:
        return np.load(file, mmap_mode="r" if file.suffix == ".npy" else None, allow_pickle=False)
    except Exception as error:  # As above.
        raise DataError(f"{file} cannot be read as NumPy arrays: {error}") from error


def _split(path, arrays, role):
    x, y = arrays[f"x_{role}"], arrays[f"y_{role}"]
    where = f"x_{role} of {path}"
    if x.ndim == 3:
        x = x[..., np.newaxis]
    if x.ndim not in (2, 4) or 0 in x.shape:
        raise DataError(
            f"{where} must hold images [n, height, width, channels] or [n, height, width], or "
            f"vectors [n, features]. Received: shape {x.shape}"
        )
    if np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float32, copy=False)
        if not np.isfinite(x).all():
            raise DataError(f"{where} must be finite. Received: {_not_finite(x)}")
    elif x.dtype != np.uint8:
        raise DataError(f"{where} must be uint8 or floats. Received: {x.dtype}")
    return Split(x, _labels(y, f"y_{role} of {path}", len(x)))


def _labels(y, where, samples):
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.shape != (samples,):
        raise DataError(
            f"{where} must hold a label for each of the {samples} samples, [n]. "
            f"Received: shape {y.shape}"
        )
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= 2**31 - 1:
        raise DataError(
            f"{where} must hold whole numbers from 0. Received: {y.dtype} from {y.min()} to "
            f"{y.max()}"
        )
    return np.asarray(y, np.int32)


def _not_finite(x):
    position = tuple(int(one) for one in np.argwhere(~np.isfinite(x))[0])
    return f"{x[position]} at {position}"


def _check_alike(path, train, test):
    if train.x.shape[1:] != test.x.shape[1:] or train.x.dtype != test.x.dtype:
        raise DataError(
            f"x_train and x_test of {path} must have samples of one shape and type. Received: "
            f"{train.x.dtype} {train.x.shape[1:]} and {test.x.dtype} {test.x.shape[1:]}"
        )


def _classes(path, train, test):
    """How many classes there are: each has training samples."""
    known = np.unique(train)
    count = len(known)
    if known[-1] != count - 1:
        missing = int(np.flatnonzero(known != np.arange(count))[0])
        raise DataError(
            f"y_train of {path} must hold every label from 0 to {known[-1]}. "
            f"Received: none with label {missing}"
        )
    if test.max() >= count:
        raise DataError(
            f"y_test of {path} must hold labels that y_train holds, 0 to {count - 1}. "
            f"Received: {test.max()}"
        )
    return count
