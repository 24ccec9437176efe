import pytest

from bnkit.report.page import write


@pytest.fixture
def no_figures(monkeypatch):
    """For what stands around the figures: they take nearly all the time."""
    monkeypatch.setattr(write, "FIGURES", ())
