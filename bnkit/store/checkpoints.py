"""The files of a run's checkpoints: which are whole, and which are kept."""

import contextlib
import hashlib
import json
import logging
import pathlib
import re
import shutil

from bnkit.store.errors import RunError
from bnkit.store.files import check_no_link, replace_file

_KEPT = 2
_CHUNK = 2**20

_log = logging.getLogger(__name__)


class Checkpoints:
    """Checkpoints of the form `ckpt-STEP.*`, each with a list of its files and their checksums.

    The list is written last: a checkpoint that has one was complete. One without, such as those of
    earlier versions or of a run that was killed right then, is trusted if it can be read.

    Args:
        directory: Where they are; made when the first one is written.
    """

    def __init__(self, directory):
        self._directory = pathlib.Path(directory)

    def newest_first(self, can_be_read):
        """Yields the prefixes of the whole checkpoints; a damaged one is named in the log.

        Args:
            can_be_read: `can_be_read(prefix)`, for a checkpoint without a list of checksums.
        """
        for step in sorted(self._steps(), reverse=True):
            prefix = self._prefix(step)
            manifest = self._manifest(step)
            if _is_as_listed(manifest) if manifest.exists() else can_be_read(prefix):
                yield prefix
            else:
                _log.warning("the checkpoint %s is damaged and left aside", prefix)

    @contextlib.contextmanager
    def writing(self, step):
        """Gives the prefix to write a checkpoint to; afterwards only the newest are kept."""
        check_no_link(self._directory)
        if not self._directory.parent.is_dir():
            raise RunError(f"{self._directory.parent} is gone: it was deleted during the run")
        self._directory.mkdir(exist_ok=True)
        # What it lists is about to be replaced.
        self._manifest(step).unlink(missing_ok=True)
        # What a save left that was killed would pass for a part of this one.
        _remove(path for path in self._files() if _is_unfinished(path))
        prefix = self._prefix(step)
        yield prefix
        files = [path for path in self._files() if _step(path) == step]
        listed = {path.name: [path.stat().st_size, _checksum(path)] for path in sorted(files)}
        replace_file(self._manifest(step), json.dumps(listed).encode())
        self._remove_all_but(sorted(self._steps())[-_KEPT:])

    def remove(self):
        """Removes all checkpoints, and nothing else."""
        self._remove_all_but(())
        state = self._directory / "checkpoint"
        if state.is_file():
            state.unlink()

    def _prefix(self, step):
        return self._directory / f"ckpt-{step}"

    def _manifest(self, step):
        return self._directory / f"ckpt-{step}.json"

    def _files(self):
        """What checkpoints are made of, and what was left of those that were never completed."""
        found = self._directory.glob("ckpt-*") if self._directory.is_dir() else ()
        return [path for path in found if _step(path) is not None]

    def _steps(self):
        return {_step(path) for path in self._files() if path.suffix == ".index"}

    def _remove_all_but(self, steps):
        _remove(path for path in self._files() if _step(path) not in steps)


def _remove(paths):
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_unfinished(path):
    """Whether TensorFlow is still writing it: afterwards it moves what is in there."""
    return path.name.endswith("_temp")


def _step(path):
    match = re.fullmatch(r"ckpt-(\d+)(\.index|\.data-.*|\.json|_temp)", path.name)
    return int(match[1]) if match else None


def _is_as_listed(manifest):
    """Whether all files in a list of checksums are there, byte for byte."""
    try:
        listed = json.loads(manifest.read_text(encoding="utf-8"))
        return bool(listed) and all(
            [(manifest.parent / name).stat().st_size, _checksum(manifest.parent / name)] == wanted
            for name, wanted in listed.items()
        )
    except (OSError, ValueError, AttributeError):
        return False


def _checksum(path):
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
