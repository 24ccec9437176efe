"""Colours and labels of normalisations."""

import matplotlib

from bnkit.report.drawing import style


def test_every_normalisation_keeps_its_colour():
    colours = {colour for colour, _ in style.NORMS.values()}
    assert len(colours) == len({label for _, label in style.NORMS.values()}) == len(style.NORMS)
    assert style.colour("my.module:Norm") == style.colour("my.module:Norm")
    assert style.colour("my.module:Norm") not in colours


def test_the_style_holds_inside_its_context_only():
    before = dict(matplotlib.rcParams)
    with style.context():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert matplotlib.rcParams["font.size"] == 8
        assert matplotlib.rcParams["axes.labelsize"] == "medium"
    assert dict(matplotlib.rcParams) == before


def test_long_and_odd_names_are_shown_as_they_are():
    assert style.shorten("abcdefghij", 5) == "ab…ij" and style.shorten("abc", 5) == "abc"
    assert style.literal("$x") == r"\$x" and style.literal("_x") == " _x"
    assert style.label("l2") == "$L_2$" and style.label("a.b:" + 40 * "c", 9) == "a.b:…cccc"


def test_known_normalisations_come_first():
    names = ["zz", "bn", "none", "aa"]
    assert sorted(names, key=style.rank) == ["none", "bn", "aa", "zz"]


def test_labels_for_text_have_no_mathtext():
    assert [style.plain(norm) for norm in ("bn", "noisy_none", "l1", "linf", "my_module:A$B")] == [
        "BN",
        "noise, no BN",
        "L1",
        "L∞",
        "my_module:A$B",
    ]
