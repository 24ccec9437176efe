"""Data sets: the embedded glyphs, any TFDS image classification set, or files of one's own."""

from bnkit.data import files, glyphs, images
from bnkit.data.batches import Batches
from bnkit.data.dataset import DataError, Dataset, Form, Split
from bnkit.data.gaussian import load_gaussian
from bnkit.data.glyphs import load_glyphs
from bnkit.data.handed import as_batch
from bnkit.data.images import load_images

__all__ = [
    "Batches",
    "DataError",
    "Dataset",
    "Form",
    "Split",
    "as_batch",
    "check",
    "load",
    "load_gaussian",
]


def load(
    name,
    *,
    data_dir=None,
    train_split=None,
    test_split=None,
    image_size=None,
    progress=True,
    input="auto",
):
    """Loads a data set by name: `"glyphs"`, a TFDS image classification set, or files of one's own.

    Args:
        name: `"glyphs"` (rendered here, needs no download), a TFDS name such as `"cifar10"`, or the
            path of files (see `bnkit.data.files.load_files`).
        data_dir: Where TFDS keeps its sets; `TFDS_DATA_DIR` or `~/tensorflow_datasets` if not
            given. Others do not use it.
        train_split, test_split: TFDS split expressions without examples in common, such as
            `"train[:80%]"`, `"train+validation"` or `"test[:500]"`. By default `train`, and the
            first of `test`, `validation`, `val` and `valid` that has labels. Other sets than those
            of TFDS have their own.
        image_size: Height and width that images are resized to, in pixels. By default sets whose
            images are all of one size keep it, and others get 32. The glyphs have 32.
        progress: Whether to show how far the first, slow load is.
        input: How the training images of TFDS and of folders are read: "decoded" once, into the
            data cache; "streamed" decodes an image whenever it is asked for; "auto" does so if all
            images, decoded, are more than the data cache may hold. The numbers are the same.

    Returns:
        A `Dataset`.

    Raises:
        DataError: If the set is unknown, absent and not downloadable, or not labelled images; if
            a split expression is invalid, training and test examples overlap, or no split is
            suitable; if a file cannot be read, or its content is not valid.
    """
    chosen = {"train_split": train_split, "test_split": test_split}
    if name == "glyphs":
        _check_none("the glyphs are what they are", **chosen, image_size=image_size)
        return load_glyphs(progress=progress)
    if files.is_path(name):
        _check_none(f"{name} has its own splits", **chosen)
        return files.load_files(name, image_size=image_size, progress=progress, input=input)
    return load_images(
        name,
        data_dir=data_dir,
        image_size=image_size,
        progress=progress,
        input=input,
        **chosen,
    )


def check(
    name, *, data_dir=None, train_split=None, test_split=None, image_size=None, progress=True
):
    """Checks that `load` will find a data set and its splits; downloads it if need be.

    No image is decoded, and nothing is said of the splits that are taken.

    Args:
        others: As for `load`.

    Returns:
        A `Form`.

    Raises:
        DataError: As for `load`, but for images and labels that turn out to be damaged.
    """
    chosen = {"train_split": train_split, "test_split": test_split}
    if name == "glyphs":
        _check_none("the glyphs are what they are", **chosen, image_size=image_size)
        return Form(glyphs.IMAGE_SHAPE, glyphs.CLASSES, glyphs.TRAIN_SIZE)
    if files.is_path(name):
        _check_none(f"{name} has its own splits", **chosen)
        return files.look_at_files(name, image_size=image_size)
    builder, _, selected = images.locate(
        name, data_dir=data_dir, progress=progress, is_told=False, **chosen
    )
    shape, classes = images.shape_and_classes(builder, image_size)
    return Form(shape, classes, selected["train"].size)


def _check_none(reason, **chosen):
    flags = [f"--{name}={value}" for name, value in chosen.items() if value]
    if flags:
        names = " and ".join(f"--{name}" for name in chosen)
        raise DataError(f"{names} are for TFDS sets; {reason}. Received: {' '.join(flags)}")
