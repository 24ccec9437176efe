"""Data sets: the embedded glyphs, or any TFDS image classification set, memory-mapped."""

from bnkit.data import builders
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
    if name != "glyphs":
        return load_images(
            name,
            data_dir=data_dir,
            train_split=train_split,
            test_split=test_split,
            progress=progress,
        )
    flags = {"--train_split": train_split, "--test_split": test_split}
    chosen = [f"{flag}={value}" for flag, value in flags.items() if value]
    if chosen:
        raise DataError(
            "--train_split and --test_split are for TFDS sets; the glyphs have their own splits. "
            f"Received: {' '.join(chosen)}"
        )
    return load_glyphs(progress=progress)


def check(name, *, data_dir=None):
    """Checks that there is a data set of this name, and that it is one of labelled images.

    Nothing is downloaded or written: a known set may still turn out to be out of reach.

    Args:
        name, data_dir: As for `load`.

    Raises:
        DataError: If the set is unknown, or not labelled images.
    """
    if name != "glyphs":
        builders.features(builders.find(name, data_dir))
