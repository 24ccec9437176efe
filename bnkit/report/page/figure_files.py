"""A figure as files: PNG, PDF, and a CSV of what is drawn."""

import contextlib
import io

import fontTools.subset
import matplotlib
import numpy as np
import PIL.Image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf

from bnkit.report.drawing import canvas, style
from bnkit.report.page import svg
from bnkit.store import replace_file

# Where the figures of a report are, beside its page.
FOLDER = "figures"
DOTS_PER_INCH = 200
# CSS pixels of an inch of a figure: two of the narrow ones stand side by side.
PIXELS = 148


def save(entry, tables, directory, part):
    """Draws a figure into `directory/figures/`.

    Args:
        entry: An entry of `figures.FIGURES`.
        tables: The DataFrames that it is drawn from.
        directory: `pathlib.Path` of the report; its folder of figures exists.
        part: The `parts.Part` that the tables are of.

    Returns:
        What the page shows of it, as a dict.
    """
    name = f"{entry.name}{part.suffix}"
    figure = entry.draw(*tables)
    with matplotlib.rc_context(style.RC):
        # Not `savefig`: it goes through everything twice, which takes as long as the rest.
        figure.set_dpi(DOTS_PER_INCH)
        png = _png(FigureCanvasAgg(figure))
        # The panels have their places now: finding them again takes as long as drawing.
        figure.set_layout_engine("none")
        pdf = _pdf(figure)
        norms = {norm for table in tables for norm in table.get("norm", ())}
        shown = svg.text(figure, name, entry.title, norms)
    csv = entry.data(*tables).to_csv(index=False).encode()
    for suffix, content in {"png": png, "pdf": pdf, "csv": csv}.items():
        replace_file(directory / FOLDER / f"{name}.{suffix}", content)
    return {
        "name": name,
        "entry": entry.name,
        "part": part.title,
        "title": entry.title,
        "caption": entry.caption,
        "source": entry.source,
        "group": entry.group,
        "wide": figure.get_figwidth() > canvas.COLUMN_WIDTH,
        "width": round(figure.get_figwidth() * PIXELS),
        "svg": shown,
    }


def pngs(directory):
    """The paths of a report's figures, sorted by name."""
    return sorted((directory / FOLDER).glob("*.png"))


def _png(agg):
    """The figure in 256 colours: a third of the bytes, and no difference that can be seen."""
    agg.draw()
    image = PIL.Image.fromarray(np.asarray(agg.buffer_rgba())).convert("RGB")
    # Median cut keeps white white. No dithering: it would cover areas with dots.
    image = image.quantize(256, PIL.Image.Quantize.MEDIANCUT, dither=PIL.Image.Dither.NONE)
    content = io.BytesIO()
    image.save(content, "png", dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return content.getvalue()


def _pdf(figure):
    content = io.BytesIO()
    with _fonts_without_layout():
        # Without a date, the same figure gives the same bytes.
        FigureCanvasPdf(figure).print_pdf(content, metadata={"CreationDate": None})
    return content.getvalue()


@contextlib.contextmanager
def _fonts_without_layout():
    """Leaves the tables for composing text out of embedded fonts.

    A PDF says where each glyph stands, and cutting these tables down to the glyphs that are used
    takes longer than drawing the figure. Matplotlib has no option for it.
    """
    options = fontTools.subset.Options
    before = options._drop_tables_default
    options._drop_tables_default = [*before, "GDEF", "GPOS", "GSUB"]
    try:
        yield
    finally:
        options._drop_tables_default = before
