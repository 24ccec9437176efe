"""Figures as files."""

import io

import numpy as np
import pandas as pd
import PIL.Image
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bnkit.report import figures, frames
from bnkit.report.page import figure_files, parts

PART = parts.Part("", "", [])


def test_fewer_colours_in_a_figure_are_not_seen(runs):
    entry = next(one for one in figures.FIGURES if one.name == "loss_band")
    drawn = entry.draw(frames.load_runs(runs(steps=60), "landscape"))
    drawn.set_dpi(figure_files.DOTS_PER_INCH)
    agg = FigureCanvasAgg(drawn)
    found = np.asarray(
        PIL.Image.open(io.BytesIO(figure_files._png(agg))).convert("RGB"), dtype=float
    )
    true = np.asarray(agg.buffer_rgba(), dtype=float)[..., :3]
    differences = np.abs(found - true).max(axis=-1)
    assert (differences > 12).mean() < 0.002 and differences.mean() < 0.3
    assert (found[0, 0] == 255).all()


def test_a_figure_is_saved_as_png_pdf_and_csv(runs, tmp_path):
    entry = next(one for one in figures.FIGURES if one.name == "loss_band")
    table = frames.load_runs(runs(steps=60), "landscape")
    (tmp_path / "figures").mkdir()
    shown = figure_files.save(entry, [table], tmp_path, PART)
    folder = tmp_path / "figures"
    names = ["loss_band.csv", "loss_band.pdf", "loss_band.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert figure_files.pngs(tmp_path) == [folder / "loss_band.png"]
    expected = pd.read_csv(io.StringIO(entry.data(table).to_csv(index=False)))
    pd.testing.assert_frame_equal(pd.read_csv(folder / "loss_band.csv"), expected)
    assert (folder / "loss_band.pdf").read_bytes().startswith(b"%PDF")
    png = (folder / "loss_band.png").read_bytes()
    assert shown["svg"].startswith('<svg class="plot"') and 'data-arm="#0072B2"' in shown["svg"]
    width, _ = PIL.Image.open(io.BytesIO(png)).size
    assert shown["width"] == round(width / 200 * 148)
    assert (shown["name"], shown["title"], shown["group"]) == (
        entry.name,
        entry.title,
        entry.group,
    )
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert figure_files.save(entry, [table], tmp_path, PART) == shown
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
