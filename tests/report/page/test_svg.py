"""Figures as they stand in the page."""

import json
import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bnkit.report import figures, frames, naming
from bnkit.report.drawing import canvas, style
from bnkit.report.page import svg

X = np.array([0.0, 40.0, 100.0])
VALUES = {"linear": [0.5, -2.0, 3.0], "log": [1e-3, 20.0, 0.125], "symlog": [-30.0, 1e-3, 500.0]}


@style.context()
def drawn(scale, norm="l2", name="run <1>"):
    page = canvas.Canvas("A title", 1, 1, ["A note."], canvas.norm_handles([norm]))
    axes = page.axes[0, 0]
    axes.plot(X, VALUES[scale], color=naming.colour(norm), gid=name)
    axes.set_yscale(scale, **({"linthresh": 0.5} if scale == "symlog" else {}))
    axes.set_xlabel("step")
    page.figure.set_layout_engine("none")
    FigureCanvasAgg(page.figure).draw()
    return svg.text(page.figure, "name", "What is <seen>", [norm])


def parsed(text):
    return xml.fromstring(text.replace("<svg ", '<svg xmlns:xlink="xlink" ', 1))


def back(scale, low, high, linear=None, linscale=1):
    """From a share of an axis to the value, by matplotlib's definition of the scales."""
    if scale == "linear":
        return lambda share: low + share * (high - low)
    if scale == "log":
        return lambda share: 10 ** (low + share * (high - low))

    def symlog(share):
        at, adjusted = low + share * (high - low), linscale / (1 - 1 / 10)
        if abs(at) <= linear * adjusted:
            return at / adjusted
        return np.sign(at) * linear * 10 ** (abs(at) / linear - adjusted)

    return symlog


@pytest.mark.parametrize("scale", VALUES)
def test_values_are_found_again_from_what_is_drawn(scale):
    tree = parsed(drawn(scale))
    (panel,) = [one for one in tree.iter("g") if "data-axes" in one.attrib]
    left, top, width, height, x_scale, y_scale, label = json.loads(panel.get("data-axes"))
    (line,) = [one for one in panel.iter("g") if "data-run" in one.attrib]
    assert (line.get("data-run"), label) == ("run <1>", "step")
    assert line.get("data-arm") == naming.colour("l2")
    corners = re.findall(r"([-\d.]+) ([-\d.]+)", line.find("path").get("d"))
    xs, ys = np.array(corners, dtype=float).T
    found = [back(*x_scale)((x - left) / width) for x in xs]
    np.testing.assert_allclose(found, X, atol=0.01)
    values = [back(*y_scale)((top + height - y) / height) for y in ys]
    # A hundredth of a point of a panel that is 100 points high.
    np.testing.assert_allclose(values, VALUES[scale], rtol=2e-3, atol=1e-3)


def test_the_page_gives_title_and_inks_and_text_stays_text():
    text = drawn("log")
    tree = parsed(text)
    told = [one.text for one in tree.iter("text")]
    assert "A title" not in text and "A note." in told and "step" in told
    assert tree.get("aria-label") == "What is <seen>"
    assert style.INK.lower() not in text and "var(--ink)" in text and "var(--grid)" in text
    # No background, and no request.
    assert "--page" not in text and "http" not in text
    # Dark violet would not be seen on a dark page.
    assert f"var(--on-{naming.colour('l2')[1:].lower()},{naming.colour('l2').lower()})" in text
    assert "--on-" not in drawn("log", norm="bn")
    _, top, _, height = map(float, tree.get("viewBox").split())
    assert 0 < top < 72 * 0.3 and height > 72


def test_numbers_of_labels_are_not_rounded():
    page = canvas.Canvas("A title", 1, 1, [])
    page.axes[0, 0].set_yticks([0.0625, 0.125], ["0.0625", "0.125"])
    FigureCanvasAgg(page.figure).draw()
    text = svg.text(page.figure, "name", "title", [])
    assert ">0.0625<" in text and ">0.125<" in text and not re.search(r' d="[^"]*\.\d{3}', text)


def test_the_same_figure_has_the_same_bytes_and_ids_of_its_own(runs):
    tables = [frames.load_runs(runs(norm=norm, steps=60), "landscape") for norm in ("bn", "none")]
    entry = next(one for one in figures.FIGURES if one.name == "loss_band")

    def text(table, name):
        figure = entry.draw(table)
        FigureCanvasAgg(figure).draw()
        return svg.text(figure, name, entry.title, ["bn"])

    assert text(tables[0], "one") == text(tables[0], "one")
    ids = [set(re.findall(r' id="(.*?)"', text(tables[0], name))) for name in ("one", "other")]
    assert ids[0] and ids[1] and not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="#|url\(#)(\w+)', text(tables[0], "one")))
    assert used == ids[0]


def test_entries_of_arms_in_the_legend_are_keys():
    tree = parsed(drawn("log", norm="bn"))
    keys = [one for one in tree.iter("g") if one.get("class") == "key"]
    assert len(keys) == 2 and {key.get("data-arm") for key in keys} == {naming.colour("bn")}
    assert [one.text for key in keys for one in key.iter("text")] == ["BN"]
