"""Writing a file so that no reader ever sees half of it."""

import os


def replace_file(path, content):
    """Replaces a file in one step: a reader sees either the old content or the new.

    Args:
        path: `pathlib.Path` of the file, in a directory that exists.
        content: Bytes.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
