"""Data sets on disk: built once, memory-mapped ever after.

A finished set is a directory that holds four arrays and `dataset.json`. Memory-mapping means
that a set may be larger than memory, that parallel runs share its pages, and that opening it
takes no time.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock

from bnkit.data.dataset import DataError, Dataset, Split, make_dataset


def cache_root() -> Path:
    """`$BNKIT_CACHE_DIR`, else `$XDG_CACHE_HOME/bnkit`, else `~/.cache/bnkit`."""
    if own := os.environ.get("BNKIT_CACHE_DIR"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bnkit"


def cached(key: Mapping[str, object], build: Callable[[Path], int]) -> Dataset:
    """Returns the data set that belongs to a key, building it if it is not on disk.

    Args:
        key: everything that the content depends on, as JSON values; `key["name"]` names the set.
        build: called as `build(directory)` when the set is missing or damaged; makes its splits
            `"train"` and `"test"` with `empty_split(directory, ...)`, fills them, and returns
            the number of classes. If it raises, nothing is left behind.

    Raises:
        DataError: if the set has to be built and the cache directory cannot be written.
    """
    name = str(key["name"])
    text = json.dumps(key, sort_keys=True)
    readable = re.sub(r"[^\w.]+", "-", name)
    directory = cache_root() / f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if (dataset := _open(name, directory)) is not None:
        return dataset
    _make_writable(directory.parent)
    with FileLock(f"{directory}.lock"):
        # Another process may have built it while this one waited for the lock.
        if (dataset := _open(name, directory)) is not None:
            return dataset
        unfinished = Path(f"{directory}.unfinished")
        # Under the lock nobody else writes here: what is found is left from a killed process.
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            _build(key, build, unfinished)
            shutil.rmtree(directory, ignore_errors=True)
            unfinished.rename(directory)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return _read(name, directory)


def empty_split(directory: Path, split: str, size: int, image_shape: tuple[int, ...]) -> Split:
    """Makes the arrays of a split as writable, memory-mapped files, to be filled in place.

    Raises:
        DataError: if the disk has no room for them.
    """
    # Files are sparse until filled; running out of disk then would kill the process (SIGBUS).
    needed, free = size * int(np.prod(image_shape)), shutil.disk_usage(directory).free
    if needed > free:
        raise DataError(
            f"The data cache {directory.parent} needs {needed / 1e9:.2f} GB for the {split} split; "
            "make room, or set BNKIT_CACHE_DIR to a directory on another disk. "
            f"Received: {free / 1e9:.2f} GB free"
        )
    create = np.lib.format.open_memmap
    return Split(
        x=create(directory / f"{split}_x.npy", "w+", np.uint8, (size, *image_shape)),
        y=create(directory / f"{split}_y.npy", "w+", np.int32, (size,)),
    )


def _build(key: Mapping[str, object], build: Callable[[Path], int], directory: Path) -> None:
    classes = build(directory)
    dataset = make_dataset(
        str(key["name"]), _open_split(directory, "train"), _open_split(directory, "test"), classes
    )
    facts = {
        "key": key,
        "classes": dataset.classes,
        "fingerprint": dataset.fingerprint,
        "mean": dataset.mean,
        "deviation": dataset.deviation,
    }
    (directory / "dataset.json").write_text(json.dumps(facts, indent=2) + "\n")


def _open(name: str, directory: Path) -> Dataset | None:
    """The data set in a directory, or None if there is none or it is damaged."""
    try:
        return _read(name, directory)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _read(name: str, directory: Path) -> Dataset:
    facts = json.loads((directory / "dataset.json").read_text())
    return Dataset(
        name=name,
        train=_open_split(directory, "train"),
        test=_open_split(directory, "test"),
        classes=facts["classes"],
        fingerprint=facts["fingerprint"],
        mean=tuple(facts["mean"]),
        deviation=tuple(facts["deviation"]),
    )


def _open_split(directory: Path, split: str) -> Split:
    return Split(
        x=np.load(directory / f"{split}_x.npy", mmap_mode="r"),
        y=np.load(directory / f"{split}_y.npy", mmap_mode="r"),
    )


def _make_writable(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        writable, reason = os.access(root, os.W_OK | os.X_OK), "no permission to write there"
    except OSError as error:
        writable, reason = False, error.strerror
    if not writable:
        raise DataError(
            f"The data cache directory {root} cannot be written; set BNKIT_CACHE_DIR to a "
            f"directory that can. Received: {reason}"
        )
