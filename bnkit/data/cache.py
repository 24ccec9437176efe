"""Data sets on disk: built once, then memory-mapped and verified whenever they are opened.

A finished set is a directory that holds four arrays and `dataset.json`. Memory-mapping means
that a set may be larger than memory, and that parallel runs share its pages. Opening a set reads
all of it once, to compare its bytes with its fingerprint: for the 66 MB of the glyphs 0.04 to
0.1 s, on a processor with SHA instructions.

The cache has a bound, and nothing else writes there: a new set takes the room of those that were
not opened for the longest time. A set whose training images are streamed keeps only its labels, its
test images and its statistics here.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import stat
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from bnkit import waiting
from bnkit.data.dataset import DataError, Dataset, Split, fingerprint, make_dataset

_log = logging.getLogger(__name__)


class _Damaged(DataError):
    """A cached set with a file that is missing, or is not what was written."""


def cache_root():
    """`$BNKIT_CACHE_DIR`, else `$XDG_CACHE_HOME/bnkit`, else `~/.cache/bnkit`."""
    if own := os.environ.get("BNKIT_CACHE_DIR"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bnkit"


def limit():
    """Bytes that all sets together may take: `$BNKIT_CACHE_GB`, else half of what the disk has.

    That is half of what would be free without them.

    Raises:
        DataError: If the variable is no number.
    """
    has = _size(cache_root()) + shutil.disk_usage(_existing_parent(cache_root())).free
    chosen = os.environ.get("BNKIT_CACHE_GB")
    if not chosen:
        return has / 2
    try:
        gigabytes = float(chosen)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise DataError(f"BNKIT_CACHE_GB must be a number >= 0. Received: {chosen!r}")
    return min(1e9 * gigabytes, has)


def cached(key, build, stream=None, progress=False):
    """Returns the data set that belongs to a key, building it if it is not on disk.

    Several processes may ask for the same set at once: one builds it, the others wait for it.

    Args:
        key: Everything that the content depends on, as JSON values; `key["name"]` names the set.
        build: Called as `build(directory)` when the set is missing or damaged; makes its splits
            `"train"` and `"test"` with `empty_split(directory, ...)`, fills them, and returns
            the number of classes. If it raises, nothing is left behind.
        stream: For training images that are not kept: called as `stream(directory)` for the
            `Stream` of them. `build` then makes the labels with `empty_array`.
        progress: Whether to show how far reading such images for their statistics is.

    Raises:
        DataError: If the cache directory cannot be read, or cannot be written to build the set.
    """
    name, directory = str(key["name"]), _directory(key)
    with _explained(directory.parent):
        # Without the lock, which cannot be taken in a read-only cache.
        with contextlib.suppress(_Damaged):
            return _open(name, directory, stream)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{directory}.lock"):
            return _open_or_build(key, build, directory, stream, progress)


def is_streamed(key, size, input):
    """Whether training images are decoded when they are asked for, rather than kept here.

    Args:
        key: As for `cached`.
        size: Bytes of all images, decoded.
        input: "decoded", "streamed", or "auto": streamed if the set is not here yet, and is too
            large.

    Raises:
        DataError: As for `limit`; if a set that is to be decoded is too large.
    """
    if input == "streamed":
        return True
    is_too_large = size > limit() and not (_directory(key) / "dataset.json").exists()
    if is_too_large and input == "decoded":
        raise _too_large(key["name"], size)
    return is_too_large


def _too_large(what, size):
    return DataError(
        f"The data cache {cache_root()} may hold {limit() / 1e9:.4g} GB; set BNKIT_CACHE_GB to "
        "more, or BNKIT_CACHE_DIR to a directory on a larger disk, or let --input=streamed decode "
        f"images when they are needed. Received: {what}, which takes {size / 1e9:.4g} GB"
    )


def _directory(key):
    readable = re.sub(r"[^\w.]+", "-", str(key["name"]))
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_root() / f"{readable}-{digest[:12]}"


def _open_or_build(key, build, directory, stream, progress):
    """With the lock held; another process may have built the set while this one waited."""
    name = str(key["name"])
    try:
        return _open(name, directory, stream)
    except _Damaged as damage:
        if os.path.lexists(directory):
            _log.warning("%s; it is built again", damage)
    unfinished = Path(f"{directory}.unfinished")
    # Nobody else writes here now: whatever is there was left by a killed process.
    _remove(unfinished)
    unfinished.mkdir()
    try:
        _build(key, build, unfinished, stream, progress)
        _remove(directory)
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return _open(name, directory, stream)


def empty_split(directory, split, size, image_shape):
    """Makes the arrays of a split as writable, memory-mapped files, to be filled in place.

    Raises:
        DataError: If the disk has no room for them.
    """
    _make_room(directory, size * (int(np.prod(image_shape)) + 4), split)
    return Split(
        x=empty_array(directory, f"{split}_x", np.uint8, (size, *image_shape)),
        y=empty_array(directory, f"{split}_y", np.int32, (size,)),
    )


def empty_array(directory, name, dtype, shape):
    """Makes one array as a writable, memory-mapped file; small ones need not ask for room."""
    return np.lib.format.open_memmap(directory / f"{name}.npy", "w+", dtype, shape)


def _make_room(directory, needed, split):
    """Removes the sets that were not opened for the longest time, as far as there is need.

    Raises:
        DataError: If the cache may not hold the set, or the disk has no room for it.
    """
    root, own = directory.parent, needed + _size(directory)
    most = limit()
    if own > most:
        raise _too_large(f"the {split} split", own)
    finished = [path.parent for path in root.glob("*/dataset.json")]
    sets = [one for one in finished if one.suffix != ".unfinished"]
    for oldest in sorted(sets, key=lambda one: one.stat().st_mtime):
        if _size(root) + needed <= most:
            break
        _evict(oldest)
    # Files are sparse until filled; running out of disk then would kill the process (SIGBUS).
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise DataError(
            f"The data cache {root} needs {needed / 1e9:.2f} GB for the {split} split; "
            "make room, or set BNKIT_CACHE_DIR to a directory on another disk. "
            f"Received: {free / 1e9:.2f} GB free"
        )


def _evict(directory):
    """Removes a set, unless another process is building it. Who has it open keeps its pages."""
    with contextlib.suppress(Timeout), FileLock(f"{directory}.lock", timeout=0):
        _log.info("%s is removed from the data cache, to make room", directory)
        # Renamed first: what is left of a removal that is cut short is not taken for the set.
        unfinished = Path(f"{directory}.unfinished")
        _remove(unfinished)
        directory.rename(unfinished)
        _remove(unfinished)


def _size(directory):
    """Bytes that the files below a directory take; sparse ones as if they were full."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # Another process may be removing it.
            found = path.lstat()
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


def _existing_parent(path):
    return next(one for one in (path, *path.parents) if one.exists())


def _build(key, build, directory, stream, progress):
    name = str(key["name"])
    classes = build(directory)
    train, test = _open_splits(directory, stream)
    if stream is None:
        dataset = make_dataset(name, train, test, classes)
    else:
        with waiting.shown(len(train), f"looking at {name}", "image", is_shown=progress) as shown:
            dataset = make_dataset(name, train, test, classes, at=shown.at)
    facts = {
        "key": key,
        "classes": dataset.classes,
        "fingerprint": dataset.fingerprint,
        "mean": dataset.mean,
        "deviation": dataset.deviation,
    }
    if stream is not None:
        facts["kept"] = _kept(directory)
    facts["checksum"] = _checksum(facts)
    (directory / "dataset.json").write_text(json.dumps(facts, indent=2) + "\n")


def _open(name, directory, stream):
    try:
        dataset = _read(name, directory, stream)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise _damage(name, directory, error) from error
    except OSError:
        # No permission or too many open files: the data may be sound.
        raise
    except Exception as error:  # NumPy and JSON raise many kinds for bytes that make no sense.
        raise _damage(name, directory, error) from error
    with contextlib.suppress(OSError):  # A cache may be for reading only.
        os.utime(directory)
    return dataset


def _damage(name, directory, error):
    reason = f"{type(error).__name__}: {error}"
    return _Damaged(f"The cached data set {name!r} in {directory} is damaged ({reason})")


def _read(name, directory, stream):
    facts = json.loads((directory / "dataset.json").read_text())
    # Earlier versions wrote no checksum of the facts.
    checksum = facts.pop("checksum", None)
    if checksum not in (None, _checksum(facts)):
        raise ValueError(f"dataset.json must have checksum {_checksum(facts)}, not {checksum}")
    train, test = _open_splits(directory, stream)
    if stream is None:
        known, found = facts["fingerprint"], fingerprint(train, test)
    else:
        # Reading all training images again would take too long.
        known, found = facts["kept"], _kept(directory)
    if found != known:
        raise ValueError(f"the arrays must have fingerprint {known}, not {found}")
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


def _kept(directory):
    """16 hex digits over the bytes of all arrays in a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*.npy")):
        digest.update(path.name.encode())
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()[:16]


def _open_splits(directory, stream):
    """The training and the test split."""
    x = open_array(directory, "train_x") if stream is None else stream(directory)
    train = Split(x=x, y=open_array(directory, "train_y"))
    return train, Split(x=open_array(directory, "test_x"), y=open_array(directory, "test_y"))


def open_array(directory, name):
    """One array of a set, memory-mapped."""
    # Unlike `np.load`, which also reads archives and leaves damaged ones open.
    return np.lib.format.open_memmap(directory / f"{name}.npy", "r")


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
