"""What can happen to the files of a run, for the tests of everything that reads them."""

import os
import pathlib

FILES = ("settings.json", "status.json", "metrics.jsonl")


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 0x80
    path.write_bytes(bytes(content))


def _replace(content):
    return lambda path: path.write_bytes(content)


def _instead(make):
    def replace(path):
        path.unlink()
        make(path)

    return replace


def _link_to_itself_elsewhere(path):
    path.rename(path.with_name(f"moved-{path.name}"))
    path.symlink_to(f"moved-{path.name}")


# Name -> what is done to a file.
DAMAGES = {
    "truncated": _truncate,
    "flipped": _flip,
    "deleted": pathlib.Path.unlink,
    "empty": _replace(b""),
    "a list": _replace(b"[1, 2]\n"),
    "a number": _replace(b"7\n"),
    "a huge number": _replace(b"1e999\n"),
    "an empty object": _replace(b"{}\n"),
    "nested without end": _replace(b"[" * 200_000 + b"\n"),
    "binary": _replace(bytes(range(256)) * 50),
    "a directory": _instead(pathlib.Path.mkdir),
    "a pipe": _instead(os.mkfifo),
    "a link to nothing": _instead(lambda path: path.symlink_to("nowhere")),
    "an endless link": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a link to where it was moved": _link_to_itself_elsewhere,
}
