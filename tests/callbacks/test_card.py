from markdown import markdown

from bnkit import Settings
from bnkit.callbacks.card import settings_card


def rows(html):
    """The cells of every row of the tables of a page."""
    found = [row.split("</tr>")[0] for row in html.split("<tr>")[1:]]
    cells = [row.replace("<th>", "<td>").replace("</th>", "</td>") for row in found]
    return [[c.split("</td>")[0] for c in row.split("<td>")[1:]] for row in cells]


def shown(*arguments):
    """As TensorBoard makes a page of it."""
    return markdown(settings_card(*arguments), extensions=["tables"])


def test_what_was_chosen_comes_first_and_the_rest_after_it():
    settings = Settings(lr=0.5, probes=(), model_args=None, dataset="a|b")
    html = shown("main/one", settings.to_dict(), Settings().to_dict())
    found = rows(html)
    assert "<strong>main/one</strong>" in html and html.count("<table>") == 2
    assert found[:4] == [
        ["chosen", "value", "by default"],
        ["lr", "0.5", "0.1"],
        ["dataset", "a&#124;b", "glyphs"],
        ["probes", "none", "landscape,ics,activations"],
    ]
    assert found[4:6] == [["by default", "value"], ["norm", "bn"]]
    names = [row[0] for row in found[1:4] + found[5:]]
    known = [name for name, value in settings.to_dict().items() if value is not None]
    assert sorted(names) == sorted(known)


def test_of_a_run_without_defaults_everything_was_chosen():
    assert rows(shown("mine/a", {"norm": "bn", "lr": 0.1, "seed": None}, {})) == [
        ["chosen", "value", "by default"],
        ["norm", "bn", ""],
        ["lr", "0.1", ""],
    ]
