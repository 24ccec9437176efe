"""Titles, footers and legends have the room that they need."""

import itertools

from bnkit.report.drawing import canvas


def test_words_are_wrapped_and_mathtext_stays_in_one_piece():
    assert canvas.wrap(["a", "bb", "ccc"], 4) == ["a bb", "ccc"]
    # A command is one character, braces and subscript marks are none.
    assert canvas.wrap([r"$\lambda_{12}$", "bb"], 6) == [r"$\lambda_{12}$ bb"]
    assert canvas.wrap(["longer than the line"], 5) == ["longer than the line"]


def test_every_entry_of_a_legend_is_inside_the_figure():
    handles = canvas.norm_handles(["none", "bn", "noisy_bn", "l1", "l2", "a.long:" + 30 * "n"])
    page = canvas.Canvas("A title", 1, 1, ["A footer."], handles)
    page.figure.draw_without_rendering()
    (legend,) = page.figure.legends
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    assert len(boxes) == 6
    for box in boxes:
        assert page.figure.bbox.x0 <= box.x0 and box.x1 <= page.figure.bbox.x1
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_a_message_is_all_that_its_figure_shows():
    (axes,) = canvas.message("Title", "Nothing.").axes
    assert not axes.axison and axes.texts[0].get_text() == "Nothing."
