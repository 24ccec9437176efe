"""What all runs of these tests stand on."""

import functools

import pytest

from bnkit import data


@pytest.fixture(autouse=True)
def few_glyphs(monkeypatch, tmp_path_factory):
    """The glyphs, only fewer of them; rendered once for all tests."""
    cache = tmp_path_factory.getbasetemp() / "glyphs"
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(cache))
    few = functools.partial(data.load_glyphs, train_size=128, test_size=40)
    monkeypatch.setattr(data, "load_glyphs", few)
