"""The command `python -m bnkit.report`."""

import json
import re
import subprocess
import sys

import pytest
from report_pages import arms, contents

from bnkit import load_claims
from bnkit.report import __main__
from bnkit.report.page import write


@pytest.fixture
def no_figures(monkeypatch):
    """For what stands around the figures: they take nearly all the time."""
    monkeypatch.setattr(write, "FIGURES", ())


def test_command_writes_below_the_reports_directory(runs, tmp_path, capsys):
    path = runs(steps=30, study="fig1", kinds=("train",))
    option = f"--reports_dir={tmp_path / 'reports'}"
    assert __main__.main(["report", str(path), option]) == 0
    made = tmp_path / "reports" / "fig1" / path.name / "index.html"
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {made}" and made.exists()
    assert __main__.main(["report", str(path.parent), option]) == 0
    assert (tmp_path / "reports" / "fig1" / "index.html").exists()


def test_command_refuses_in_one_line(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs(study="a", kinds=())
    for arguments, message in (
        ([str(tmp_path / "nowhere")], "nowhere does not exist"),
        ([str(runs.root)], "give one of them, or several: a"),
        ([], "expected a PATH, got none"),
        ([str(runs.root / "a"), str(tmp_path / "nowhere")], "nowhere does not exist"),
        ([str(runs.root / "a"), "--baseline=rms,none"], "'rms': must be .* of the runs: bn"),
        ([str(runs.root / "a"), "--baseline="], "--baseline=: must be normalisations"),
        (["x", "--wrong=1"], "wrong"),
        (["--nohelp=1"], "does not take an argument"),
        (["a\0b"], "zero bytes"),
        (["--flagfile=/dev/zero"], "must be a file"),
        (["x" * 5000], "cannot be read|File name too long|does not exist"),
    ):
        assert __main__.main(["report", *arguments]) == 2
        error = capsys.readouterr().err
        assert re.search(message, error) and error.count("\n") == 1 and len(error) < 1200
        assert not (tmp_path / "reports").exists()


def test_a_damaged_run_is_told_and_the_others_are_drawn(runs, tmp_path, capfd, no_figures):
    sound, damaged = runs(norm="bn", steps=30, kinds=("train",)), runs(norm="none", kinds=())
    (damaged / "status.json").write_text("{")
    option = f"--reports_dir={tmp_path / 'reports'}"
    command = [sys.executable, "-m", "bnkit.report", str(sound.parent), option]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    (said,) = result.stderr.splitlines()
    assert said.startswith(f"bnkit.report: main/{damaged.name} is left out: ")
    assert f"{damaged}/status.json is damaged" in said
    assert result.stdout.splitlines()[-1].startswith("report: ")
    # Alone, it leaves nothing to report.
    assert __main__.main(["report", str(damaged), option]) == 2
    error = capfd.readouterr().err
    assert "status.json is damaged" in error and error.count("\n") == 1


def test_what_a_run_says_of_itself_leads_nowhere_and_is_not_executed(runs, tmp_path, no_figures):
    hostile = "{{ 7 * 191 }} <script>alert(1)</script> $(touch evil) ../../evil"
    path = runs(norm="bn", steps=30, kinds=("train",), model=hostile, dataset=hostile)
    described = json.loads((path / "settings.json").read_text())
    described |= {"study": "../../evil", "run": "/evil", "command": [hostile, "; rm -rf /"]}
    described["settings"]["norm"] = "../../../evil"
    (path / "settings.json").write_text(json.dumps(described))
    before = contents(tmp_path)
    assert __main__.main(["report", str(path), f"--reports_dir={tmp_path / 'reports'}"]) == 0
    new = contents(tmp_path).keys() - before.keys()
    assert new == contents(tmp_path / "reports" / path.parent.name / path.name).keys()
    page = (tmp_path / "reports" / path.parent.name / path.name / "index.html").read_text()
    assert "{{ 7 * 191 }}" in page and "1337" not in page and "<script>alert" not in page


def test_the_command_writes_nothing_but_its_own_folder(runs, tmp_path, monkeypatch, capsys):
    study = arms(runs, seeds=(0,), steps=30)
    other = tmp_path / "reports" / "other" / "index.html"
    other.parent.mkdir(parents=True)
    other.write_text("of another study")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    assert __main__.main(["report", str(study)]) == 0
    after = contents(tmp_path)
    assert {path: after[path] for path in before} == before
    folder = tmp_path / "reports" / study.name
    assert after.keys() - before.keys() == contents(folder).keys()
    assert capsys.readouterr().out.startswith("claims: 1 inconclusive\n  inconclusive  faster-")


def test_several_studies_have_one_report_that_compares_them(runs, tmp_path, capsys, no_figures):
    own = arms(runs, norms=("rms",), study="mine")
    known = arms(runs, norms=("none", "bn"), study="known")
    option = f"--reports_dir={tmp_path / 'reports'}"
    assert __main__.main(["report", str(own), str(known), str(own), option]) == 0
    said = capsys.readouterr().out
    assert "rms against none (vgg11, glyphs, lr 0.1)" in said
    assert "rms against bn (vgg11, glyphs, lr 0.1)" in said
    assert [one.name for one in (tmp_path / "reports").iterdir()] == ["mine+known"]
    found = load_claims(tmp_path / "reports" / "mine+known")
    (claim,) = found[
        (found["id"] == "faster-training") & (found["baseline"] == "none") & (found["arm"] == "rms")
    ].to_dict("records")
    assert claim["seeds"] == 3 and claim["arms"] == ("rms", "none")


def test_any_arm_may_be_the_baseline(runs, tmp_path, capsys, no_figures):
    study = arms(runs, norms=("none", "bn", "rms"))
    option = f"--reports_dir={tmp_path / 'reports'}"
    assert __main__.main(["report", str(study), option, "--baseline=rms"]) == 0
    found = load_claims(tmp_path / "reports" / study.name)
    general = found[~found["of_study"]]
    assert set(general["baseline"]) == {"rms"} and set(general["arm"]) == {"none", "bn"}
    assert "bn against rms" in capsys.readouterr().out
