import subprocess
import sys

import numpy as np
import pytest
from matplotlib import pyplot
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bnkit.report.page.images import show_report, write_images


@pytest.fixture
def pngs(tmp_path):
    paths = [tmp_path / "loss.png", tmp_path / "smoothness.png"]
    for path, width in zip(paths, (30, 50), strict=True):
        pyplot.imsave(path, np.zeros((20, width, 3)))
    return paths


def shown(directory):
    """Tag -> image events, as TensorBoard reads them."""
    board = EventAccumulator(str(directory), size_guidance={"tensors": 0}).Reload()
    tags = board.Tags()["tensors"]
    plugins = {board.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags}
    assert plugins <= {"images", "text"}
    return {
        tag: [(e.step, list(e.tensor_proto.string_val)) for e in board.Tensors(tag)] for tag in tags
    }


def test_figures_are_tensorboard_images_with_their_sizes(tmp_path, pngs):
    write_images(tmp_path / "board", pngs, step=7)
    loss, smoothness = (png.read_bytes() for png in pngs)
    assert shown(tmp_path / "board") == {
        "report/loss": [(7, [b"30", b"20", loss])],
        "report/smoothness": [(7, [b"50", b"20", smoothness])],
    }


def test_a_report_drawn_again_replaces_its_images_and_nothing_else(tmp_path, pngs):
    other = tmp_path / "events.out.tfevents.1.machine"
    other.write_bytes(b"")
    write_images(tmp_path, pngs)
    (before,) = tmp_path.glob("*.report")
    write_images(tmp_path, pngs[:1])
    (after,) = tmp_path.glob("*.report")
    assert other.exists() and before != after
    assert list(shown(tmp_path)) == ["report/loss"]


def test_a_report_is_shown_with_the_run_or_the_study_that_it_is_about(tmp_path):
    figures = tmp_path / "reports" / "figures"
    figures.mkdir(parents=True)
    pyplot.imsave(figures / "loss.png", np.zeros((20, 30, 3)))
    page = figures.parent / "index.html"
    run = tmp_path / "study" / "run"
    run.mkdir(parents=True)
    (run / "settings.json").write_text("{}")
    show_report(page, run, step=7)
    show_report(page, run.parent)
    png = (figures / "loss.png").read_bytes()
    for directory, step in ((run, 7), (run.parent / "report", 0)):
        found = shown(directory)
        assert found["report/loss"] == [(step, [b"30", b"20", png])]
        assert found["run/report"] == [(step, [f"The report: `{page}`".encode()])]


def test_images_are_written_without_tensorflow():
    code = "import bnkit.report.page.images, sys; print('tensorflow' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
