"""The page, its files, and the command."""

import io
import json
import math
import re

import pandas
import pytest

from bnkit.report import ReportError, __main__, figures, frames, summary, write_report

HOSTILE = "my.module:<script>alert('$x_1$')</script>"


def test_the_page_needs_nothing_else_and_every_file_is_there(runs, tmp_path):
    path = runs(steps=60)
    page = write_report(path, tmp_path / "report")
    assert page == tmp_path / "report" / "index.html"
    text = page.read_text()
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", text)
    assert not [one for one in addresses if not one.startswith(("data:image/png;", "figures/"))]
    assert "@import" not in text and "url(" not in text
    for address in addresses:
        if address.startswith("figures/"):
            assert (page.parent / address).stat().st_size > 0
    names = {entry.name for entry in figures.FIGURES}
    expected = {f"figures/{name}.{suffix}" for name in names for suffix in ("png", "pdf", "csv")}
    written = {str(one.relative_to(page.parent)) for one in page.parent.rglob("*") if one.is_file()}
    assert written == expected | {"index.html"}
    # The written data are those that the figure is drawn from.
    loaded = frames.frame(frames.read_runs(path), "landscape")
    for name, data in (
        ("loss_band", figures.landscape.loss_band_data),
        ("smoothness", figures.landscape.smoothness_data),
    ):
        drawn = pandas.read_csv(io.StringIO(data(loaded).to_csv(index=False)))
        saved = pandas.read_csv(page.parent / "figures" / f"{name}.csv")
        pandas.testing.assert_frame_equal(saved, drawn)
    assert "python -m bnkit.main --norm=bn --lr=0.5" in text
    assert "0123456789abcdef" in text and "2.21.0" in text


def test_names_are_escaped_and_missing_kinds_are_named(runs, tmp_path):
    runs(norm=HOSTILE, steps=60, kinds=("train", "landscape"), status="running")
    runs(norm="none", steps=120, kinds=("train", "landscape"))
    runs(norm="bn", steps=60, kinds=("train",), status="diverged")
    text = write_report(runs.root / "main", tmp_path / "report").read_text()
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "Internal covariate shift: left out" in text and 'kind "ics"' in text
    assert "bn-lr0.5-seed0-1a2b3c4d diverged." in text and "had not ended" in text
    assert "none-lr0.5-seed0-1a2b3c4d never trained" in text
    assert 'class="differs"' in text


def test_a_report_without_any_record_still_lists_the_settings(runs, tmp_path):
    text = write_report(runs(kinds=(), status="failed"), tmp_path / "report").read_text()
    assert text.count("left out") == 10 and "batch_size" in text and " failed." in text


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
    (head,) = summary.headlines(frames.read_runs(path))
    assert head["accuracy"] == pytest.approx(0.9) and head["test"] == 0.75
    assert (head["early"], head["peak"], head["width"]) == (30.0, 8.0, 2.0)
    assert not head["never_trained"] and summary.warnings([head]) == []


def test_an_arm_at_chance_is_called_untrained_only_once_it_has_ended(runs):
    ends = (("done", 120, True), ("running", 120, False), ("done", 60, False))
    for status, steps, expected in ends:
        study = f"{status}{steps}"
        path = runs(norm="none", study=study, status=status, steps=steps, kinds=("train",))
        (head,) = summary.headlines(frames.read_runs(path))
        assert head["never_trained"] is expected


def test_a_regression_shows_losses_and_misses_no_accuracy(runs, tmp_path):
    probes = ["landscape", "ics"]
    path = runs(model="dln", steps=120, kinds=("train", "eval", *probes), probes=probes)
    text = write_report(path, tmp_path / "report").read_text()
    assert "ccuracy" not in text and "left out" not in text and "test<br>loss" in text
    assert not (tmp_path / "report" / "figures" / "accuracy.png").exists()
    (head,) = summary.headlines(frames.read_runs(path))
    train = frames.load_runs(path, "train")["loss"]
    tested = frames.load_runs(path, "eval")["loss"].iloc[-1]
    assert head["loss"] == pytest.approx(train.iloc[-50:].mean()) and head["test_loss"] == tested
    assert not head["never_trained"]
    assert f">{tested:.3g}</td>" in text
    assert summary.sentence(head) == (
        f"{path.name} done: training loss {head['loss']:.3g} (mean of the last 50 steps), "
        f"test loss {tested:.3g}, peak smoothness {head['peak']:.3g} (after step 100)"
    )


def test_a_classification_is_summed_up_by_its_accuracies(runs):
    path = runs(norm="bn", steps=60, kinds=("train", "eval"))
    (head,) = summary.headlines(frames.read_runs(path))
    assert summary.sentence(head) == (
        f"{path.name} done: training accuracy {head['accuracy']:.1%} (mean of the last 50 steps), "
        f"test accuracy {head['test']:.1%}"
    )


def test_both_tasks_in_one_report(runs, tmp_path):
    runs(norm="bn", steps=60, kinds=("train", "eval"), probes=[])
    runs(norm="bn", steps=60, kinds=("train", "eval"), probes=[], model="dln")
    text = write_report(runs.root / "main", tmp_path / "report").read_text()
    assert "test<br>loss" in text and "test<br>accuracy" in text
    assert "Accuracy: left out" not in text and 'id="accuracy"' in text


def test_random_directions_are_missed_only_where_they_were_asked_for(runs, tmp_path):
    asked = runs(study="asked", kinds=())
    not_asked = runs(study="not", kinds=(), probes=["landscape", "ics"])
    text = write_report(asked, tmp_path / "asked").read_text()
    assert "Loss along random directions: left out" in text
    assert "andom directions" not in write_report(not_asked, tmp_path / "not").read_text()


def test_smoothness_that_was_lost_is_the_largest(runs):
    path = runs(model="dln", norm="none", steps=10, kinds=("landscape",))
    (head,) = summary.headlines(frames.read_runs(path))
    assert head["early"] == head["width"] == math.inf


def test_command_writes_below_the_reports_directory(runs, tmp_path, capsys):
    path = runs(steps=30, study="fig1", kinds=("train",))
    option = f"--reports_dir={tmp_path / 'reports'}"
    assert __main__.main(["report", str(path), option]) == 0
    page = tmp_path / "reports" / "fig1" / path.name / "index.html"
    assert capsys.readouterr().out.strip() == str(page) and page.exists()
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
