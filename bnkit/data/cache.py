"""Data sets on disk: built once, then memory-mapped and verified whenever they are opened.

A finished set is a directory that holds four arrays and `dataset.json`. Memory-mapping means
that a set may be larger than memory, and that parallel runs share its pages. Opening a set reads
all of it once, to compare its bytes with its fingerprint: for the 66 MB of the glyphs 0.04 to
0.1 s, on a processor with SHA instructions.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
from pathlib import Path

import numpy as np
from filelock import FileLock

from bnkit.data.dataset import DataError, Dataset, Split, fingerprint, make_dataset

_log = logging.getLogger(__name__)


class _Damaged(DataError):
    """A cached set with a file that is missing, or is not what was written."""


def cache_root():
    """`$BNKIT_CACHE_DIR`, else `$XDG_CACHE_HOME/bnkit`, else `~/.cache/bnkit`."""
    if own := os.environ.get("BNKIT_CACHE_DIR"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bnkit"


def cached(key, build):
    """Returns the data set that belongs to a key, building it if it is not on disk.

    Several processes may ask for the same set at once: one builds it, the others wait for it.

    Args:
        key: Everything that the content depends on, as JSON values; `key["name"]` names the set.
        build: Called as `build(directory)` when the set is missing or damaged; makes its splits
            `"train"` and `"test"` with `empty_split(directory, ...)`, fills them, and returns
            the number of classes. If it raises, nothing is left behind.

    Raises:
        DataError: If the cache directory cannot be read, or cannot be written to build the set.
    """
    name = str(key["name"])
    text = json.dumps(key, sort_keys=True)
    readable = re.sub(r"[^\w.]+", "-", name)
    directory = cache_root() / f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    with _explained(directory.parent):
        # Without the lock, which cannot be taken in a read-only cache.
        with contextlib.suppress(_Damaged):
            return _open(name, directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{directory}.lock"):
            return _open_or_build(key, build, directory)


def _open_or_build(key, build, directory):
    """With the lock held; another process may have built the set while this one waited."""
    name = str(key["name"])
    try:
        return _open(name, directory)
    except _Damaged as damage:
        if os.path.lexists(directory):
            _log.warning("%s; it is built again", damage)
    unfinished = Path(f"{directory}.unfinished")
    # Nobody else writes here now: whatever is there was left by a killed process.
    _remove(unfinished)
    unfinished.mkdir()
    try:
        _build(key, build, unfinished)
        _remove(directory)
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return _open(name, directory)


def empty_split(directory, split, size, image_shape):
    """Makes the arrays of a split as writable, memory-mapped files, to be filled in place.

    Raises:
        DataError: If the disk has no room for them.
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


def _build(key, build, directory):
    classes = build(directory)
    train, test = _open_split(directory, "train"), _open_split(directory, "test")
    dataset = make_dataset(str(key["name"]), train, test, classes)
    facts = {
        "key": key,
        "classes": dataset.classes,
        "fingerprint": dataset.fingerprint,
        "mean": dataset.mean,
        "deviation": dataset.deviation,
    }
    facts["checksum"] = _checksum(facts)
    (directory / "dataset.json").write_text(json.dumps(facts, indent=2) + "\n")


def _open(name, directory):
    try:
        return _read(name, directory)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise _damage(name, directory, error) from error
    except OSError:
        # No permission or too many open files: the data may be sound.
        raise
    except Exception as error:  # NumPy and JSON raise many kinds for bytes that make no sense.
        raise _damage(name, directory, error) from error


def _damage(name, directory, error):
    reason = f"{type(error).__name__}: {error}"
    return _Damaged(f"The cached data set {name!r} in {directory} is damaged ({reason})")


def _read(name, directory):
    facts = json.loads((directory / "dataset.json").read_text())
    # Earlier versions wrote no checksum of the facts.
    checksum = facts.pop("checksum", None)
    if checksum not in (None, _checksum(facts)):
        raise ValueError(f"dataset.json must have checksum {_checksum(facts)}, not {checksum}")
    train, test = _open_split(directory, "train"), _open_split(directory, "test")
    found = fingerprint(train, test)
    if found != facts["fingerprint"]:
        raise ValueError(f"the arrays must have fingerprint {facts['fingerprint']}, not {found}")
    return Dataset(
        name=name,
        train=train,
        test=test,
        classes=facts["classes"],
        fingerprint=facts["fingerprint"],
        mean=tuple(facts["mean"]),
        deviation=tuple(facts["deviation"]),
    )


def _checksum(facts):
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _open_split(directory, split):
    # Unlike `np.load`, which also reads archives and leaves damaged ones open.
    read = np.lib.format.open_memmap
    return Split(
        x=read(directory / f"{split}_x.npy", "r"), y=read(directory / f"{split}_y.npy", "r")
    )


def _remove(path):
    """Removes whatever is at a path; of a link, only the link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


@contextlib.contextmanager
def _explained(root):
    """Turns an error of the file system into one that says what to do about it."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The data cache directory {root} cannot be read or written; set BNKIT_CACHE_DIR to a "
            f"directory that can. Received: {type(error).__name__}: {error}"
        ) from error
