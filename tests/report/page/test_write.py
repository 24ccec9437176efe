"""The page, its files, and the command."""

import base64
import hashlib
import io
import json
import re

import pandas
import pytest
from report_pages import arms, contents, rows

from bnkit import kinds
from bnkit.report import ReportError, claims, figures, frames, read_claims, write_report
from bnkit.report.page import headlines
from bnkit.report.runs import read_runs


def test_the_page_needs_nothing_else_and_every_file_is_there(runs, tmp_path):
    path = runs(steps=60)
    made = write_report(path, tmp_path / "report")
    assert made == tmp_path / "report" / "index.html"
    text = made.read_text()
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", text)
    inside = {f"#{name}" for name in re.findall(r'id="([^"]*)"', text)}
    for address in set(addresses) - inside - {"data:,"}:
        # Of parts of an area that is drawn with several colours there are pictures inside.
        if not address.startswith("data:image/png;base64,"):
            assert address.startswith("figures/") and (made.parent / address).stat().st_size > 0
    assert "@import" not in text and set(re.findall(r"url\((.)", text)) == {"#"}
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert not re.search("fetch|import|XMLHttpRequest|https?:", script)
    assert len(text) < 5e6
    # Should one of these ever be missed, the browser refuses: it lets this one script run.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search('"Content-Security-Policy" content="(.*?)"', text)[1]
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    found = read_runs(path)
    names = {entry.name for entry in figures.FIGURES if entry.applies(found)}
    over_rates = {"learning_rate_envelope", "largest_learning_rate", "smoothness_map", "range_test"}
    assert {entry.name for entry in figures.FIGURES} - names == over_rates
    expected = {f"figures/{name}.{suffix}" for name in names for suffix in ("png", "pdf", "csv")}
    written = {str(one.relative_to(made.parent)) for one in contents(made.parent)}
    assert written == expected | {"index.html", "claims.json"}
    # Every figure is in the list of contents, and in a group.
    for name in names:
        assert addresses.count(f"#{name}") == 1
    assert {entry.group for entry in figures.FIGURES} == set(kinds.GROUPS)
    # The written data are those that the figure is drawn from.
    loaded = frames.frame(read_runs(path), "landscape")
    for name, data in (
        ("loss_band", figures.loss_band.ENTRY.data),
        ("smoothness", figures.smoothness.ENTRY.data),
    ):
        drawn = pandas.read_csv(io.StringIO(data(loaded).to_csv(index=False)))
        saved = pandas.read_csv(made.parent / "figures" / f"{name}.csv")
        pandas.testing.assert_frame_equal(saved, drawn)
    assert "python -m bnkit.main --norm=bn --lr=0.5" in text
    assert "0123456789abcdef" in text and "2.21.0" in text


def test_a_regression_shows_losses_and_misses_no_accuracy(runs, tmp_path, real_figures):
    real_figures("loss", "ics")
    probes = ["landscape", "ics"]
    path = runs(model="dln", steps=400, kinds=("train", "eval", *probes), probes=probes)
    text = write_report(path, tmp_path / "report").read_text()
    assert "ccuracy" not in text and "Not drawn" not in text and "test<br>loss" in text
    assert not (tmp_path / "report" / "figures" / "accuracy.png").exists()
    (head,) = headlines.headlines(read_runs(path))
    train = frames.load_runs(path, "train")["loss"]
    tested = frames.load_runs(path, "eval")["loss"].iloc[-1]
    assert head["loss"] == pytest.approx(train.iloc[-50:].mean()) and head["test_loss"] == tested
    assert not head["never_trained"]
    assert f">{tested:.3g}</td>" in text
    assert headlines.sentence(head).partition("\n")[0] == (
        f"{path.name} done: training loss {head['loss']:.3g} (mean of the last 50 steps), "
        f"test loss {tested:.3g}, peak smoothness {head['peak']:.3g} (after step 100)"
    )


def test_nothing_is_written_where_there_is_nothing_to_report(tmp_path):
    with pytest.raises(ReportError):
        write_report(tmp_path / "nowhere", tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.usefixtures("no_figures")
def test_every_verdict_is_in_the_page_in_a_file_and_on_the_terminal(runs, tmp_path):
    study = arms(runs)
    text = write_report(study, tmp_path / "report").read_text()
    expected = claims.evaluate(read_runs(study))
    found = read_claims(tmp_path / "report")
    assert found == json.loads(json.dumps([claim.to_dict() for claim in expected]))
    assert found[0]["id"] == "faster-training" and found[0]["verdict"] == "supported"
    of_study = [claim for claim in found if claim["of_study"]]
    assert {claim["id"] for claim in of_study} == {one.id for one in claims.QUESTIONS}
    # One row for each: the general ones and those that have no number in parts that are closed.
    of_the_study, general = text.split('<details class="pair">', 1)
    open_rows, closed_rows = map(rows, of_the_study.split('<details class="unanswered">'))
    general_rows = rows(general)
    assert len(open_rows) == 1 and len(open_rows + closed_rows) == len(of_study)
    assert len(general_rows) == len(found) - len(of_study) > 0
    low, high = found[0]["interval"]
    numbers = f"{100 * found[0]['effect']:.1f} points higher [{100 * low:.1f}, {100 * high:.1f}]"
    assert open_rows[0] == [
        "✓ supported",
        f"{found[0]['claim']} faster-training: how it is measured "
        f"{found[0]['formula']}. Source: {found[0]['source']}.",
        f"{numbers} p {found[0]['p']:.2g}, adjusted p {found[0]['p_holm']:.2g}",
        "vgg11, glyphs, lr 0.1",
        "3",
        "the interval is above 0",
    ]
    lp = [
        row for row in closed_rows if row[1].startswith("Along the gradient the loss varies less")
    ]
    assert [row[-1] for row in lp] == ["no landscape records", "no runs of l1, l2, linf"]
    assert "needs norm=none and norm=l1 or " in lp[1][1]
    assert text.index('id="verdicts"') < text.index('id="figures"') < text.index('id="settings"')
    lines = headlines.verdicts(found)
    assert lines[:2] == [
        "claims: 1 supported",
        "  supported     faster-training, bn against none (vgg11, glyphs, lr 0.1): "
        f"{numbers}, 3 seeds",
    ]
    assert "theorem-4.1" in lines[2] and "faster-training" not in lines[2]
    assert lines[3].startswith("scorecard: ") and lines[4] == (
        "  bn against none (vgg11, glyphs, lr 0.1)"
    )
    assert f"faster-training {numbers}" in lines[5]
