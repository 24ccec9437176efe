"""Data sets: the embedded glyphs, or any TFDS image classification set, memory-mapped."""

from bnkit.data.batches import Batches
from bnkit.data.dataset import DataError, Dataset, Split
from bnkit.data.gaussian import load_gaussian
from bnkit.data.glyphs import load_glyphs
from bnkit.data.images import load_images

__all__ = ["Batches", "DataError", "Dataset", "Split", "load", "load_gaussian"]


def load(name: str, *, data_dir: str | None = None, progress: bool = True) -> Dataset:
    """Loads a data set by name: `"glyphs"`, or the name of any TFDS image classification set.

    Args:
        name: `"glyphs"` (rendered here, needs no download) or a TFDS name such as `"cifar10"`.
        data_dir: where TFDS keeps its sets; `TFDS_DATA_DIR` or `~/tensorflow_datasets` if not
            given. The glyphs do not use it.
        progress: whether the first, slow load shows a progress bar on stderr.

    Raises:
        DataError: if the set is unknown, absent and not downloadable, or not labelled images.
    """
    if name == "glyphs":
        return load_glyphs(progress=progress)
    return load_images(name, data_dir=data_dir, progress=progress)
