"""Colours and labels of normalisations."""

import matplotlib

from bnkit.report import naming
from bnkit.report.drawing import style


def test_every_normalisation_keeps_its_colour():
    colours = {colour for colour, _ in naming.NORMS.values()}
    assert len(colours) == len({label for _, label in naming.NORMS.values()}) == len(naming.NORMS)
    assert naming.colour("my.module:Norm") == naming.colour("my.module:Norm")
    assert naming.colour("my.module:Norm") not in colours


def test_the_style_holds_inside_its_context_only():
    before = dict(matplotlib.rcParams)
    with style.context():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert matplotlib.rcParams["font.size"] == 8
        assert matplotlib.rcParams["axes.labelsize"] == "medium"
    assert dict(matplotlib.rcParams) == before


def test_long_and_odd_names_are_shown_as_they_are():
    assert naming.shorten("abcdefghij", 5) == "ab…ij" and naming.shorten("abc", 5) == "abc"
    assert naming.literal("$x") == r"\$x" and naming.literal("_x") == " _x"
    assert naming.label("l2") == "$L_2$" and naming.label("a.b:" + 40 * "c", 9) == "a.b:…cccc"


def test_known_normalisations_come_first():
    names = ["zz", "bn", "none", "aa"]
    assert sorted(names, key=naming.rank) == ["none", "bn", "aa", "zz"]


def test_labels_for_text_have_no_mathtext():
    assert [naming.plain(norm) for norm in ("bn", "noisy_none", "l1", "linf", "my_module:A$B")] == [
        "BN",
        "noise, no BN",
        "L1",
        "L∞",
        "my_module:A$B",
    ]
