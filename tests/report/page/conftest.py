import dataclasses

import pytest

from bnkit.report import figures
from bnkit.report.drawing import canvas
from bnkit.report.page import write


@pytest.fixture
def no_figures(monkeypatch):
    """For what stands around the figures: they take nearly all the time."""
    monkeypatch.setattr(write, "FIGURES", ())


@pytest.fixture
def real_figures(monkeypatch):
    """`real_figures(*names)`: these are drawn, and in the place of all others there is a word.

    The others are asked for, missed, written and shown nevertheless.
    """

    def only(*names):
        def word(*frames):
            return canvas.message("", "a figure")

        some = [
            one if one.name in names else dataclasses.replace(one, draw=word)
            for one in figures.FIGURES
        ]
        assert set(names) <= {one.name for one in some}
        monkeypatch.setattr(write, "FIGURES", tuple(some))

    return only
