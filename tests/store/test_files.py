import pathlib

import pytest

from bnkit.store import replace_file


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "file"
    for content in (b"first", b""):
        replace_file(path, content)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_content_until_the_new_is_complete(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    write = pathlib.Path.write_bytes

    def write_half(self, content):
        write(self, content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(pathlib.Path, "write_bytes", write_half)
    with pytest.raises(OSError, match="disk full"):
        replace_file(path, b"the new content")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
