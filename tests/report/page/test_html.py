"""What the page says."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest
from report_pages import arms, rows

from bnkit.report import figures, frames, read_claims, write_report
from bnkit.report.page import answer, effects, headlines
from bnkit.report.runs import read_runs

HOSTILE = "my.module:<script>alert('$x_1$')</script>"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
# Files that a browser keeps go to a directory of the test, and it reaches for no network.
BROWSER_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def test_names_are_escaped_and_missing_kinds_are_named(runs, tmp_path, real_figures):
    real_figures("loss", "loss_band", "time_spent")
    runs(norm=HOSTILE, steps=60, kinds=("train", "landscape"), status="running")
    runs(norm="none", steps=120, kinds=("train", "landscape"))
    runs(norm="bn", steps=60, kinds=("train",), status="diverged")
    text = write_report(runs.root / "main", tmp_path / "report").read_text()
    assert text.count("<script") == 1 and "&lt;script&gt;" in text
    assert "Internal covariate shift (l2 of ics)" in text
    assert "bn-lr0.5-seed0-1a2b3c4d diverged." in text and "had not ended" in text
    assert "none-lr0.5-seed0-1a2b3c4d never trained" in text
    assert 'class="differs"' in text


def test_a_report_without_any_record_still_lists_the_settings(runs, tmp_path):
    path = runs(kinds=(), status="failed")
    text = write_report(path, tmp_path / "report").read_text()
    expected = [one for one in figures.FIGURES if one.applies(read_runs(path))]
    missed = text.partition("Not drawn, because these values are missing:")[2].partition("</p>")[0]
    # The seconds are not among the records.
    assert len(re.findall(r"\(\w+ of \w+\)", missed)) == len(expected) - 1 >= 10
    assert "batch_size" in text and " failed." in text


def test_both_tasks_in_one_report(runs, tmp_path):
    runs(norm="bn", steps=60, kinds=("train", "eval"), probes=[])
    runs(norm="bn", steps=60, kinds=("train", "eval"), probes=[], model="dln")
    text = write_report(runs.root / "main", tmp_path / "report").read_text()
    assert "test<br>loss" in text and "test<br>accuracy" in text
    assert "(accuracy of train)" not in text
    names = set(re.findall('<figure id="(.*?)"', text))
    assert {"accuracy-vgg11-glyphs", "loss-vgg11-glyphs", "loss-dln-gaussian"} <= names
    assert "accuracy-dln-gaussian" not in names and "<h3>dln on gaussian: Training</h3>" in text
    for name in names:
        assert (tmp_path / "report" / "figures" / f"{name}.png").exists()
    # Panels need not say which model they are of.
    assert "model" not in " ".join(re.findall("<svg.*?</svg>", text))


def test_random_directions_are_missed_only_where_they_were_asked_for(runs, tmp_path):
    asked = runs(study="asked", kinds=())
    not_asked = runs(study="not", kinds=(), probes=["landscape", "ics"])
    text = write_report(asked, tmp_path / "asked").read_text()
    assert "Loss along random directions (loss_after_step of random_landscape)" in text
    assert "andom directions" not in write_report(not_asked, tmp_path / "not").read_text()


def test_nothing_is_missed_of_a_run_without_probes(runs, tmp_path, real_figures):
    real_figures("largest_learning_rate")
    for norm in ("none", "bn"):
        for lr in (0.1, 0.2, 0.5):
            runs(norm=norm, lr=lr, steps=60, kinds=("train", "eval"), probes=[])
    text = write_report(runs.root / "main", tmp_path / "report").read_text()
    assert "Not drawn" not in text and 'id="largest_learning_rate"' in text


@pytest.mark.usefixtures("no_figures")
def test_verdicts_are_told_apart_by_word_and_symbol(runs, tmp_path):
    study = arms(runs)
    # With the arms exchanged the claim is contradicted.
    exchanged = {"none": "bn", "bn": "none"}
    for directory in study.iterdir():
        described = json.loads((directory / "settings.json").read_text())
        described["settings"]["norm"] = exchanged[described["settings"]["norm"]]
        (directory / "settings.json").write_text(json.dumps(described))
    found = rows(write_report(study, tmp_path / "report").read_text())
    verdicts = {row[0] for row in found}
    assert verdicts == {"✗ contradicted", "? inconclusive"}
    (faster,) = [row for row in found if row[1].startswith("A network with BN trains faster")]
    assert faster[0] == "✗ contradicted"


@pytest.mark.usefixtures("no_figures")
def test_one_run_without_a_verdict_says_so_in_one_line(runs, tmp_path):
    path = runs(steps=30, kinds=("train",), probes=[])
    text = write_report(path, tmp_path / "report").read_text()
    (head,) = headlines.headlines(read_runs(path))
    assert f'<p class="answer">T{headlines.result(head)[1:]}.</p>' in text
    assert f"<pre>{head['deciding_command']}</pre>" in text
    assert "No claim can be examined with this run alone." in text
    assert rows(text.split('<details class="unanswered">')[0]) == []
    lines = headlines.verdicts(read_claims(tmp_path / "report"))
    assert lines[0] == "claims: these runs decide none" and len(lines) == 2


def test_a_study_that_is_running_says_what_is_missing(runs, tmp_path):
    study = arms(runs, norms=("bn",), seeds=(0,), steps=30, probes=["ics"])
    arms(runs, norms=("none",), seeds=(0,), steps=30, probes=["ics"], status="running", kinds=())
    # A line that is being written.
    with open(next(study.glob("bn-*")) / "metrics.jsonl", "a") as file:
        file.write('{"step": 30, "ki')
    text = write_report(study, tmp_path / "report").read_text()
    assert "none-lr0.1-seed0-1a2b3c4d had not ended when this was drawn." in text
    assert "2 runs, 1 done" in text
    assert "Internal covariate shift (l2 of ics)" in text and 'id="accuracy"' in text


@pytest.mark.usefixtures("no_figures")
def test_seconds_of_every_run_are_in_a_table(runs, tmp_path):
    study = arms(runs, norms=("bn",), seeds=(0, 1), steps=30)
    text = write_report(study, tmp_path / "report").read_text()
    table = text[text.index('id="seconds"') : text.index("Wall-clock seconds by part")]
    assert re.findall(r'class="figure">(.*?)<', table)[:4] == ["total", "data", "compile", "train"]
    totals = [
        json.loads((run / "status.json").read_text())["seconds"]["total"]
        for run in sorted(study.iterdir())
    ]
    shown = re.findall(r'class="run">.*?</td>\s*<td class="figure">(.*?)</td>', table)
    assert shown == [f"{total:.3g}" for total in totals]


def _cells(text):
    """The scorecard's cells: `(class, target, text)`."""
    found = re.findall(
        r'<td class="cell (\w+)"><a href="#([^"]*)".*?>(.*?)</a></td>', text, re.DOTALL
    )
    return [(kind, to, " ".join(re.sub("<[^>]*>", " ", cell).split())) for kind, to, cell in found]


@pytest.mark.usefixtures("no_figures")
def test_the_page_opens_with_the_scorecard_whose_cells_lead_to_their_details(runs, tmp_path):
    study = arms(runs, norms=("none", "bn", "rms"))
    for seed in (0, 1):
        few = {"steps": 150, "probe_every": 50, "probes": [], "kinds": ("train",)}
        runs(norm=HOSTILE, seed=seed, lr=0.1, status="running", **few)
    text = write_report(study, tmp_path / "report").read_text()
    assert text.index('id="scorecard"') < text.index('class="warning"') < text.index('id="runs"')
    by_anchor = {
        f"claim-{i}": one for i, one in enumerate(read_claims(tmp_path / "report"), start=1)
    }
    cells = _cells(text)
    pairs = {(by_anchor[to]["arm"], by_anchor[to]["baseline"]) for _, to, _ in cells}
    assert pairs == {
        ("bn", "none"),
        ("rms", "none"),
        (HOSTILE, "none"),
        ("rms", "bn"),
        (HOSTILE, "bn"),
    }
    for kind, to, told in cells:
        claim = by_anchor[to]
        assert text.count(f'id="{to}"') == 1
        if claim["effect"] is None:
            assert kind == "missing" and told[2:] == claim["brief"]
            continue
        symbol = {"supported": "✓", "contradicted": "✗", "inconclusive": "?"}[kind]
        assert kind == claim["verdict"]
        assert told.startswith(f"{symbol} {kind} {effects.read(claim)}")
        assert claim["verdict"] != "inconclusive" or told.endswith(claim["brief"])
    kinds = {kind for kind, _, _ in cells}
    assert {"supported", "contradicted", "inconclusive"} <= kinds
    assert any("2 seeds; 3 are needed" in told for _, _, told in cells)
    tested = sum(claim["p"] is not None for claim in by_anchor.values())
    assert f"{tested} comparisons that are made here at once" in " ".join(text.split())
    assert "see BN against none" in text and text.count("<script") == 1


def test_the_first_screen_answers_above_one_figure(runs, tmp_path, real_figures):
    real_figures("loss_band")
    study = arms(runs, probes=["landscape"], kinds=("train", "landscape"), steps=400, lr=0.1)
    text = write_report(study, tmp_path / "report").read_text()
    told = answer.answer(read_claims(tmp_path / "report"))
    assert told.startswith("Along the gradient the loss range with BN is ")
    places = [
        text.index(part)
        for part in (
            "<h1>main</h1>",
            "none and BN: vgg11 on glyphs, learning rate 0.1, 3 seeds; 6 runs, 6 done",
            f'<p class="answer">{told}.</p>',
            '<h2 id="scorecard">',
            '<figure id="loss_band"',
            '<h2 id="verdicts">',
        )
    ]
    assert places == sorted(places) and text.count('<figure id="loss_band"') == 1
    assert f"answer: {told}" == headlines.verdicts(read_claims(tmp_path / "report"))[-1]


@pytest.mark.usefixtures("no_figures")
def test_further_conditions_fold_out(runs, tmp_path):
    for lr in (0.1, 0.2, 0.3, 0.4):
        study = arms(runs, seeds=(0,), lr=lr, steps=30)
    text = write_report(study, tmp_path / "report").read_text()
    captions = re.findall("<caption>(.*?)</caption>", text)
    # Four learning rates, and the claim over all of them.
    assert len(captions) == 5 and text.count(f"<details><summary>{captions[-1]}</summary>") == 1
    assert f"<summary>{captions[3]}</summary>" not in text


def _opened(url, tmp_path):
    """The page as a browser has it in the end."""
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [BROWSER, *BROWSER_FLAGS, profile, "--dump-dom", url]
    environment = {**os.environ, "HOME": str(tmp_path)}
    opened = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert "</html>" in opened.stdout, opened.stderr
    return opened.stdout


# Switches BN off, points at the first corner of a line of the other arm, enlarges the figure.
USED = """<script>{
const plot = document.querySelector("#loss .plot");
const key = plot.querySelector('.key[data-arm="#0072B2"] text');
key.dispatchEvent(new Event("click", {bubbles: true}));
const line = plot.querySelector('[data-axes] [data-arm="#D55E00"][data-run] path');
const [, x, y] = line.getAttribute("d").match(/([-\\d.]+) ([-\\d.]+)/);
const seen = new DOMPoint(x, y).matrixTransform(plot.getScreenCTM());
plot.dispatchEvent(new MouseEvent("pointermove", {clientX: seen.x, clientY: seen.y}));
const tip = document.querySelector(".tip").textContent;
document.querySelector("#loss .enlarge").click();
document.body.dataset.found = JSON.stringify({
  hidden: [...plot.querySelectorAll("[data-arm]:not(.key)")]
    .filter((one) => one.style.display === "none").map((one) => one.dataset.arm),
  shown: plot.querySelectorAll('[data-arm="#D55E00"]:not(.key)').length,
  tip, large: document.querySelector("dialog").open && plot.parentNode.tagName,
});
}</script></body>"""


@pytest.mark.skipif(not BROWSER, reason="no browser is installed")
def test_arms_are_switched_off_and_values_are_told(runs, tmp_path):
    study = arms(runs, steps=60, seeds=(0, 1), probe_every=20)
    made = write_report(study, tmp_path / "report")
    text = made.read_text()
    # The page's own policy lets no other script run.
    page = re.sub('<meta http-equiv="Content-Security-Policy".*?>', "", text)
    made.write_text(page.replace("</body>", USED.replace("\\\\", "\\")))
    opened = _opened(made.as_uri(), tmp_path)
    found = json.loads(html.unescape(re.search('data-found="(.*?)"', opened)[1]))
    assert found["hidden"] and set(found["hidden"]) == {"#0072B2"} and found["shown"]
    assert found["large"] == "DIALOG"
    name, step, value = re.fullmatch(r"(.*), step (\d+): (.*)", found["tip"]).groups()
    losses = frames.load_runs(study / name, "train").set_index("step")["loss"]
    assert name.startswith("none-lr0.1-seed")
    assert losses[int(step)] == pytest.approx(float(value), rel=0.01)
    # With its policy the page's own script runs, and no other.
    made.write_text(text.replace("</body>", "<script>document.title = 'other'</script></body>"))
    opened = _opened(made.as_uri(), tmp_path)
    assert 'class="plot live"' in opened and "<title>main" in opened


@pytest.mark.skipif(not BROWSER, reason="no browser is installed")
def test_a_browser_opens_the_page(runs, tmp_path, real_figures):
    real_figures()
    study = arms(runs, status="diverged", study="<i>study")
    made = write_report(study, tmp_path / "report")
    # A cell's link unfolds the part that it leads to, without a script.
    text = made.read_text()
    of_study = [claim["of_study"] for claim in read_claims(made.parent)]
    anchor = f"claim-{of_study.index(False) + 1}"
    opened = _opened(f"{made.as_uri()}#{anchor}", tmp_path)
    assert "<title>&lt;i&gt;study - bnkit</title>" in opened
    assert rows(opened) == rows(text) != []
    assert '<details class="pair">' in text and '<details class="pair" open="">' in opened
