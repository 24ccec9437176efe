"""What the documents promise is there, and the site of the documentation builds."""

import html
import os
import pathlib
import re
import shlex
import subprocess
import sys

import filelock
import keras
import numpy as np
import pytest

import bnkit
from bnkit import callbacks, command_line, layers, probes
from bnkit.report.figures import FIGURES

ROOT = pathlib.Path(bnkit.__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
PROMISES = (ROOT / "docs" / "what_can_happen.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PROMISES)
COMMAND = re.compile(r"^(?:\.venv/bin/)?python -m bnkit\.main( --.*)$", re.M)
COMMANDS = sorted(
    {
        found
        for path in [ROOT / "README.md", *PAGES]
        for found in COMMAND.findall(path.read_text().replace("\\\n", ""))
    }
)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)), ids=lambda part: part)
def test_a_test_that_is_named_exists(path, name):
    assert f"\ndef {name}(" in (ROOT / path).read_text()


def test_every_row_of_what_can_happen_names_its_test():
    rows = [line for line in PROMISES.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.endswith("| Test |")]
    assert len(rows) > 40
    assert [row for row in rows if not re.search(r"`tests/\S+::\w+` \|$", row)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_shown_is_valid(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, grid = command_line.parse(["bnkit.main", *shlex.split(command, comments=True)])
    assert grid


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda path: path.name)
def test_python_that_is_shown_can_be_compiled(path):
    for block in blocks(path):
        compile(block, path.name, "exec")


def blocks(path):
    """The Python that a page shows."""
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S)


def test_the_layer_that_is_shown_divides_by_the_root_mean_square():
    for page in ("own_layer.md", "tutorial.md"):
        names = {}
        exec(blocks(ROOT / "docs" / page)[0], names)
        found = names["PixelNorm"]()(np.array([[3.0, 4.0]], "float32"))
        np.testing.assert_allclose(found, [[3 / 12.5**0.5, 4 / 12.5**0.5]], rtol=1e-5)


def test_the_network_that_is_shown_takes_any_normalisation():
    names = {}
    exec(blocks(ROOT / "docs" / "own_model.md")[0], names)
    sizes = [
        len(names["network"](layers.get(norm), (4, 4, 1), 3, seed=0, units=2).trainable_variables)
        for norm in ("none", "bn")
    ]
    assert sizes == [4, 6]


@pytest.mark.parametrize("page", ["own_model.md", "tutorial.md"])
def test_the_callbacks_that_are_shown_measure_in_model_fit(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    names = {"model": model, "x": np.ones((128, 2)), "y": np.ones((128, 1))}
    exec(blocks(ROOT / "docs" / page)[1], names)
    assert [record["step"] for record in names["landscape"].records] == [0]
    assert (tmp_path / "loss_band.pdf").exists()


def test_commands_were_found():
    assert len(COMMANDS) > 8


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The directory of the site, built with warnings as errors, once for all workers of a run."""
    pytest.importorskip("sphinx")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    made = shared / "site"
    with filelock.FileLock(shared / "site.lock"):
        if not made.exists():
            _build(made)
    return made


def _build(made):
    """Moves the site to its place once it is whole; nothing is left in the sources."""
    sources = ROOT / "docs"
    before = set(sources.rglob("*.md"))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    half = made.with_suffix(".half")
    done = subprocess.run(
        [*command, "-d", made.with_suffix(".doctrees"), sources, half],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert set(sources.rglob("*.md")) == before
    half.rename(made)


def text_of(site, page):
    """What a reader sees of a page's main part."""
    markup = (site / f"{page}.html").read_text(encoding="utf-8")
    article = markup[markup.index("<article") : markup.index("</article>")]
    return html.unescape(re.sub(r"<[^>]*>", "", article.replace("</dt>", "\n")))


def test_every_page_is_built(site):
    built = {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in PAGES} <= built
    for path in site.glob("*.html"):
        assert "<!-- generated" not in path.read_text(encoding="utf-8")


def test_every_figure_has_its_caption(site):
    text = text_of(site, "figures")
    for entry in FIGURES:
        assert entry.title in text
        assert entry.caption in text


def test_every_flag_is_there_once_with_its_default(site):
    text = text_of(site, "flags")
    values, _ = command_line.parse(["bnkit.main"])
    shown = re.findall(r"^--(\w+)$", text, re.M)
    assert sorted(shown) == sorted(values)
    for name in values:
        assert values[name].help in text
    assert "Default: 0.1; dln: 1e-06" in text
    assert "vit_tiny: vision transformer of 4 blocks" in text


def test_every_study_is_there_with_its_command(site):
    text = text_of(site, "gallery")
    for path in (ROOT / "flags").glob("*.flags"):
        assert f"python -m bnkit.main --flagfile=flags/{path.name}\n" in text
        header, flags = re.fullmatch(r"((?:#.*\n)+)((?:--.*\n)+)", path.read_text()).groups()
        for part in re.split(r"^# \w+: +", header, flags=re.M)[1:]:
            # The first letter of a claim is a capital one there.
            assert re.sub(r"\s*\n# *", " ", part).strip()[1:] in text
        assert flags.replace("\n", " ").strip() in text


def test_the_kept_report_is_part_of_the_site(site):
    assert (site / "quick" / "index.html").exists()
    for page in ("tutorial", "gallery"):
        assert re.search(r"[\d.]+ times narrower \[", text_of(site, page))


def test_public_names_are_documented(site):
    text = text_of(site, "api")
    for package in (probes, callbacks):
        for name in package.__all__:
            if callable(getattr(package, name)):
                assert re.search(rf"\b{package.__name__}\.{name}\(", text), name
    assert "bnkit.layers.BatchNorm(axis=-1, momentum=0.9, " in text
    assert "bnkit.layers.LpNorm(p, " in text


def test_the_site_loads_nothing_from_elsewhere(site):
    loads = re.compile(r'<(?:script|img|link|iframe)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    for path in site.glob("*.html"):
        assert loads.findall(path.read_text(encoding="utf-8")) == []


def test_formulas_are_mathml(site):
    assert (site / "quantities.html").read_text(encoding="utf-8").count("<math ") > 40
