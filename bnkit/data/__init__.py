"""Data sets: the embedded glyphs, or any TFDS image classification set, memory-mapped."""

from bnkit.data import glyphs, images
from bnkit.data.batches import Batches
from bnkit.data.dataset import DataError, Dataset, Split
from bnkit.data.gaussian import load_gaussian
from bnkit.data.glyphs import load_glyphs
from bnkit.data.handed import as_batch
from bnkit.data.images import load_images

__all__ = ["Batches", "DataError", "Dataset", "Split", "as_batch", "check", "load", "load_gaussian"]


def load(name, *, data_dir=None, train_split=None, test_split=None, progress=True):
    """Loads a data set by name: `"glyphs"`, or the name of any TFDS image classification set.

    Args:
        name: `"glyphs"` (rendered here, needs no download) or a TFDS name such as `"cifar10"`.
        data_dir: Where TFDS keeps its sets; `TFDS_DATA_DIR` or `~/tensorflow_datasets` if not
            given. The glyphs do not use it.
        train_split, test_split: TFDS split expressions without examples in common, such as
            `"train[:80%]"`, `"train+validation"` or `"test[:500]"`. By default `train`, and the
            first of `test`, `validation`, `val` and `valid` that has labels. The glyphs have
            their own.
        progress: Whether the first, slow load shows a progress bar on stderr.

    Returns:
        A `Dataset`.

    Raises:
        DataError: If the set is unknown, absent and not downloadable, or not labelled images; if
            a split expression is invalid, training and test examples overlap, or no split is
            suitable.
    """
    chosen = {"train_split": train_split, "test_split": test_split}
    if name != "glyphs":
        return load_images(name, data_dir=data_dir, progress=progress, **chosen)
    _check_no_splits(**chosen)
    return load_glyphs(progress=progress)


def check(name, *, data_dir=None, train_split=None, test_split=None, progress=True):
    """Checks that `load` will find a data set and its splits; downloads it if need be.

    Nothing is decoded, and nothing is said of the splits that are taken.

    Args:
        others: As for `load`.

    Returns:
        The shape of an image, and the number of classes, as `load` will have them.

    Raises:
        DataError: As for `load`, but for images and labels that turn out to be damaged.
    """
    chosen = {"train_split": train_split, "test_split": test_split}
    if name == "glyphs":
        _check_no_splits(**chosen)
        return glyphs.IMAGE_SHAPE, glyphs.CLASSES
    builder, _, _ = images.locate(
        name, data_dir=data_dir, progress=progress, is_told=False, **chosen
    )
    return images.shape_and_classes(builder)


def _check_no_splits(**chosen):
    flags = [f"--{name}={value}" for name, value in chosen.items() if value]
    if flags:
        raise DataError(
            "--train_split and --test_split are for TFDS sets; the glyphs have their own splits. "
            f"Received: {' '.join(flags)}"
        )
