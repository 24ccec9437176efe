"""Writing a file so that no reader ever sees half of it."""

import os

from bnkit.store.errors import RunError


def replace_file(path, content):
    """Replaces a file in one step: a reader sees either the old content or the new.

    Args:
        path: `pathlib.Path` of the file, in a directory that exists.
        content: Bytes.
    """
    check_no_link(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_no_link(path):
    """Checks that what is about to be written is no link, which would lead out of the run.

    Raises:
        RunError: If it is.
    """
    if path.is_symlink():
        raise RunError(f"{path} is a link, and bnkit writes through none: remove it")
