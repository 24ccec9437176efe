"""The page, its files, and the command."""

import html
import io
import json
import math
import os
import re
import shutil
import subprocess

import numpy
import pandas
import PIL.Image
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bnkit import kinds
from bnkit.report import ReportError, __main__, claims, figures, frames, read_claims, write_report
from bnkit.report.page import figure_files, headlines, write
from bnkit.report.runs import read_runs
from bnkit.report.statistics import training

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


def rows(text):
    """The rows of all verdicts in a page, as lists of the text of their cells."""
    found = re.findall(r'<tr>\s*(<td class="verdict .*?)</tr>', text, re.DOTALL)
    cells = [re.findall(r"<td.*?</td>", row, re.DOTALL) for row in found]
    return [
        [" ".join(html.unescape(re.sub("<[^>]*>", " ", cell)).split()) for cell in row]
        for row in cells
    ]


def arms(runs, norms=("none", "bn"), seeds=(0, 1, 2), lr=0.1, **settings):
    """A study of some arms with the fewest records that have verdicts; returns its path."""
    given = {"steps": 150, "probe_every": 50, "probes": [], "kinds": ("train",), **settings}
    for norm in norms:
        for seed in seeds:
            path = runs(norm=norm, seed=seed, lr=lr, **given)
    return path.parent


@pytest.fixture
def no_figures(monkeypatch):
    """For what stands around the figures: they take nearly all the time."""
    monkeypatch.setattr(write, "FIGURES", ())


def contents(directory):
    """What every file at and below a directory holds, and when it was written."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_the_page_needs_nothing_else_and_every_file_is_there(runs, tmp_path):
    path = runs(steps=60)
    made = write_report(path, tmp_path / "report")
    assert made == tmp_path / "report" / "index.html"
    text = made.read_text()
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", text)
    inside = {f"#{name}" for name in re.findall(r'id="([^"]*)"', text)}
    for address in set(addresses) - inside - {"data:,"}:
        assert address.startswith(("data:image/png;base64,", "figures/"))
        if address.startswith("figures/"):
            assert (made.parent / address).stat().st_size > 0
    assert "@import" not in text and "url(" not in text and "<script" not in text
    # Should one of these ever be missed, the browser refuses.
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text
    found = read_runs(path)
    names = {entry.name for entry in figures.FIGURES if entry.applies(found)}
    over_rates = {"learning_rate_envelope", "largest_learning_rate", "smoothness_map"}
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
        ("loss_band", figures.landscape.loss_band_data),
        ("smoothness", figures.landscape.smoothness_data),
    ):
        drawn = pandas.read_csv(io.StringIO(data(loaded).to_csv(index=False)))
        saved = pandas.read_csv(made.parent / "figures" / f"{name}.csv")
        pandas.testing.assert_frame_equal(saved, drawn)
    assert "python -m bnkit.main --norm=bn --lr=0.5" in text
    assert "0123456789abcdef" in text and "2.21.0" in text


def test_names_are_escaped_and_missing_kinds_are_named(runs, tmp_path):
    runs(norm=HOSTILE, steps=60, kinds=("train", "landscape"), status="running")
    runs(norm="none", steps=120, kinds=("train", "landscape"))
    runs(norm="bn", steps=60, kinds=("train",), status="diverged")
    text = write_report(runs.root / "main", tmp_path / "report").read_text()
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "Internal covariate shift (l2 of ics)" in text
    assert "bn-lr0.5-seed0-1a2b3c4d diverged." in text and "had not ended" in text
    assert "none-lr0.5-seed0-1a2b3c4d never trained" in text
    assert 'class="differs"' in text


def test_a_report_without_any_record_still_lists_the_settings(runs, tmp_path):
    path = runs(kinds=(), status="failed")
    text = write_report(path, tmp_path / "report").read_text()
    expected = [one for one in figures.FIGURES if one.applies(read_runs(path))]
    (missed,) = re.findall(r"Not drawn, for want of values:(.*?)</p>", text, re.DOTALL)
    # The seconds are not among the records.
    assert len(re.findall(r"\(\w+ of \w+\)", missed)) == len(expected) - 1 >= 10
    assert "batch_size" in text and " failed." in text


def test_headline_numbers(runs):
    path = runs(kinds=())
    train = [
        {"step": step, "kind": "train", "loss": 1.0, "accuracy": 0.5 if step < 50 else 0.9}
        for step in range(100)
    ]
    probes = [
        {
            "step": step,
            "kind": "landscape",
            "loss": 1.0,
            "gradient_norm": 1.0,
            "step_sizes": [0.1, 0.2],
            "losses": losses,
            "gradient_distances": [1.0, 1.0],
            "smoothness": smoothness,
        }
        for step, losses, smoothness in ((0, [1, 4], 30.0), (100, [1, 2], 7.0), (200, [1, 3], 8.0))
    ]
    tests = [
        {"step": step, "kind": "eval", "loss": 1.0, "accuracy": step / 100} for step in (50, 75)
    ]
    lines = [json.dumps(record) + "\n" for record in (*train, *probes, *tests)]
    (path / "metrics.jsonl").write_text("".join(lines))
    (head,) = headlines.headlines(read_runs(path))
    assert head["accuracy"] == pytest.approx(0.9) and head["test"] == 0.75
    assert (head["early"], head["peak"], head["width"]) == (30.0, 8.0, 2.0)
    assert not head["never_trained"] and headlines.warnings([head]) == []


def test_an_arm_at_chance_is_called_untrained_only_once_it_has_ended(runs):
    ends = (("done", 120, True), ("running", 120, False), ("done", 60, False))
    for status, steps, expected in ends:
        study = f"{status}{steps}"
        path = runs(norm="none", study=study, status=status, steps=steps, kinds=("train",))
        (head,) = headlines.headlines(read_runs(path))
        assert head["never_trained"] is expected


def test_a_regression_whose_loss_has_not_halved_is_called_untrained(runs):
    # The loss falls by a factor of e in 200 steps: from the first to the mean of the last 50.
    for steps, status, expected in (
        (120, "done", True),
        (120, "running", False),
        (400, "done", False),
    ):
        path = runs(
            model="dln", study=f"{status}{steps}", status=status, steps=steps, kinds=("train",)
        )
        (head,) = headlines.headlines(read_runs(path))
        assert head["never_trained"] is expected
        said = " ".join(headlines.warnings([head]))
        assert ("has not fallen to half of its first one" in said) is expected


def test_what_never_trained_goes_by_steps_whatever_the_records_are_means_of():
    records = {"status": "done", "step": [99, 199, 299], "classes": 10.0, "mean_over": "epoch"}
    at_chance = pandas.DataFrame({**records, "loss": 2.3, "accuracy": 0.1})
    assert training.never_trained(at_chance)
    assert not training.never_trained(at_chance.assign(step=[9, 19, 29]))
    assert not training.never_trained(at_chance.assign(classes=math.nan))
    losses = at_chance.assign(accuracy=math.nan, classes=math.nan)
    # The mean over the first epoch is no first loss.
    assert not training.never_trained(losses)
    losses["mean_over"] = "step"
    assert training.never_trained(losses)
    assert training.never_trained(losses.assign(loss=math.inf))
    assert not training.never_trained(losses.assign(loss=[math.inf, 2.0, 0.9]))


def test_a_regression_shows_losses_and_misses_no_accuracy(runs, tmp_path):
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
    assert headlines.sentence(head) == (
        f"{path.name} done: training loss {head['loss']:.3g} (mean of the last 50 steps), "
        f"test loss {tested:.3g}, peak smoothness {head['peak']:.3g} (after step 100)"
    )


def test_a_classification_is_summed_up_by_its_accuracies(runs):
    path = runs(norm="bn", steps=60, kinds=("train", "eval"))
    (head,) = headlines.headlines(read_runs(path))
    assert headlines.sentence(head) == (
        f"{path.name} done: training accuracy {head['accuracy']:.1%} (mean of the last 50 steps), "
        f"test accuracy {head['test']:.1%}"
    )


def test_both_tasks_in_one_report(runs, tmp_path):
    runs(norm="bn", steps=60, kinds=("train", "eval"), probes=[])
    runs(norm="bn", steps=60, kinds=("train", "eval"), probes=[], model="dln")
    text = write_report(runs.root / "main", tmp_path / "report").read_text()
    assert "test<br>loss" in text and "test<br>accuracy" in text
    assert "(accuracy of train)" not in text and 'id="accuracy"' in text


def test_random_directions_are_missed_only_where_they_were_asked_for(runs, tmp_path):
    asked = runs(study="asked", kinds=())
    not_asked = runs(study="not", kinds=(), probes=["landscape", "ics"])
    text = write_report(asked, tmp_path / "asked").read_text()
    assert "Loss along random directions (loss_after_step of random_landscape)" in text
    assert "andom directions" not in write_report(not_asked, tmp_path / "not").read_text()


def test_nothing_is_missed_of_a_run_without_probes(runs, tmp_path):
    for norm in ("none", "bn"):
        for lr in (0.1, 0.2, 0.5):
            runs(norm=norm, lr=lr, steps=60, kinds=("train", "eval"), probes=[])
    text = write_report(runs.root / "main", tmp_path / "report").read_text()
    assert "Not drawn" not in text and 'id="largest_learning_rate"' in text


def test_smoothness_that_was_lost_is_the_largest(runs):
    path = runs(model="dln", norm="none", steps=10, kinds=("landscape",))
    (head,) = headlines.headlines(read_runs(path))
    assert head["early"] == head["width"] == math.inf


def test_command_writes_below_the_reports_directory(runs, tmp_path, capsys):
    path = runs(steps=30, study="fig1", kinds=("train",))
    option = f"--reports_dir={tmp_path / 'reports'}"
    assert __main__.main(["report", str(path), option]) == 0
    made = tmp_path / "reports" / "fig1" / path.name / "index.html"
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {made}" and made.exists()
    assert __main__.main(["report", str(path.parent), option]) == 0
    assert (tmp_path / "reports" / "fig1" / "index.html").exists()


def test_command_refuses_in_one_line(runs, tmp_path, capsys):
    runs(study="a", kinds=())
    for arguments, message in (
        ([str(tmp_path / "nowhere")], "nowhere does not exist"),
        ([str(runs.root)], "give one of them: a"),
        ([], "expected one PATH, got 0"),
        (["x", "--wrong=1"], "wrong"),
    ):
        assert __main__.main(["report", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


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
    assert {claim["id"] for claim in found} == {one.id for one in claims.QUESTIONS}
    # One row for each, those that have no number in a part that is closed.
    open_rows, closed_rows = map(rows, text.split('<details class="unanswered">'))
    assert len(open_rows) == 1 and len(open_rows + closed_rows) == len(found)
    low, high = found[0]["interval"]
    numbers = f"{found[0]['effect']:.3g} [{low:.3g}, {high:.3g}]"
    assert open_rows[0] == [
        "✓ supported",
        f"{found[0]['claim']} faster-training: how it is measured "
        f"{found[0]['formula']}. Source: {found[0]['source']}.",
        f"{numbers} accuracy",
        "vgg11, glyphs, lr 0.1",
        "3",
        "the interval is above 0",
    ]
    assert text.index('id="verdicts"') < text.index('id="figures"') < text.index('id="settings"')
    lines = headlines.verdicts(found)
    assert lines[:2] == [
        "claims: 1 supported",
        "  supported     faster-training, bn against none (vgg11, glyphs, lr 0.1): "
        f"{numbers} accuracy, 3 seeds; the interval is above 0",
    ]
    assert len(lines) == 3 and "theorem-4.1" in lines[2] and "faster-training" not in lines[2]


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
    assert found[0][0] == "✗ contradicted"
    assert {row[0] for row in found[1:]} == {"? inconclusive"}


@pytest.mark.usefixtures("no_figures")
def test_one_run_without_a_verdict_says_so_in_one_line(runs, tmp_path):
    path = runs(steps=30, kinds=("train",), probes=[])
    text = write_report(path, tmp_path / "report").read_text()
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


def test_runs_of_other_machines_and_versions_are_reported_together(runs, tmp_path):
    study = arms(runs, seeds=(0, 1), steps=30)
    old, new, *_ = sorted(study.iterdir())
    described = json.loads((old / "settings.json").read_text())
    for name in ("command", "versions", "device", "data", "parameters", "created"):
        del described[name]
    del described["settings"]["probes"]
    (old / "settings.json").write_text(json.dumps(described))
    (old / "status.json").unlink()
    described = json.loads((new / "settings.json").read_text())
    described["versions"]["tensorflow"] = "2.99.0<b>"
    described["settings"]["not_known_yet"] = [1, 2]
    described["not_known_either"] = {"a": 1}
    (new / "settings.json").write_text(json.dumps(described))
    with open(new / "metrics.jsonl", "a") as file:
        file.write('{"step": 30, "kind": "not_known_yet", "values": [1, 2], "more": [3]}\n')
    text = write_report(study, tmp_path / "report").read_text()
    assert "versions.tensorflow (-, 2.99.0&lt;b&gt;, 2.21.0)" in text and "<b>" not in text
    assert f"{old.name} has no status.json" in text
    assert '<th scope="col">not_known_yet</th>' in text


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


def test_the_reason_of_a_failure_is_one_line():
    head = {"study": "s", "run": "r", "status": "failed", "never_trained": False}
    wrapped = "ValueError: in user code:\n\n    File x\n\n    ValueError: the error itself\n"
    for reason, end in ((wrapped, ": ValueError: the error itself"), ("", "")):
        assert headlines.warnings([{**head, "reason": reason}]) == [f"s/r failed{end}."]
    (long,) = headlines.warnings([{**head, "reason": "word " * 900}])
    assert len(long) < 330 and long.endswith(" ….")


def test_fewer_colours_in_a_figure_are_not_seen(runs):
    entry = next(one for one in figures.FIGURES if one.name == "loss_band")
    drawn = entry.draw(frames.load_runs(runs(steps=60), "landscape"))
    drawn.set_dpi(figure_files.DOTS_PER_INCH)
    agg = FigureCanvasAgg(drawn)
    found = numpy.asarray(
        PIL.Image.open(io.BytesIO(figure_files._png(agg))).convert("RGB"), dtype=float
    )
    true = numpy.asarray(agg.buffer_rgba(), dtype=float)[..., :3]
    differences = numpy.abs(found - true).max(axis=-1)
    assert (differences > 12).mean() < 0.002 and differences.mean() < 0.3
    assert (found[0, 0] == 255).all()


@pytest.mark.skipif(not BROWSER, reason="no browser is installed")
def test_a_browser_opens_the_page(runs, tmp_path):
    study = arms(runs, status="diverged", study="<i>study")
    made = write_report(study, tmp_path / "report")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [BROWSER, *BROWSER_FLAGS, profile, "--dump-dom", made.as_uri()]
    environment = {**os.environ, "HOME": str(tmp_path)}
    opened = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert "<title>&lt;i&gt;study - bnkit</title>" in opened.stdout, opened.stderr
    assert rows(opened.stdout) == rows(made.read_text()) != []
