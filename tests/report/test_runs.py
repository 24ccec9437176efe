"""Run directories as the report reads them."""

import json

import pytest

from bnkit.report import ReportError, load_runs
from bnkit.report.runs import Run, read_runs


def test_a_run_is_what_its_files_say(runs):
    path = runs(norm="bn", lr=0.5, seed=3, status="diverged", steps=60, kinds=("train", "eval"))
    (run,) = read_runs(path)
    assert (run.path, run.study, run.name, run.state) == (path, "main", path.name, "diverged")
    assert run.settings == json.loads((path / "settings.json").read_text())["settings"]
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert set(run.records) == {"train", "eval"}
    read = sorted(pair for pairs in run.records.values() for pair in pairs)
    assert [number for number, _ in read] == list(range(1, len(lines) + 1))
    assert [fields for _, fields in read] == lines
    assert run.identity["step_sizes"] == tuple(run.settings["step_sizes"])
    assert run.train_mean_over == "step"
    epochs = Run(None, {**run.description, "train_mean_over": "epoch"}, {}, {})
    assert (epochs.train_mean_over, epochs.state) == ("epoch", "unknown")


def test_runs_come_by_study_and_name(runs):
    paths = [runs(study=study, norm=norm, kinds=()) for study in "ba" for norm in ("none", "bn")]
    assert [run.path for run in read_runs(runs.root)] == sorted(paths)


def test_a_regression_has_no_classes_and_no_accuracy(runs):
    runs(model="dln", steps=30), runs(steps=30)
    (image, linear) = sorted(read_runs(runs.root), key=lambda run: run.is_regression)
    assert (image.classes, image.is_regression) == (10, False)
    assert (linear.classes, linear.is_regression) == (None, True)
    table = load_runs(linear.path, "train")
    assert table["accuracy"].isna().all() and table["loss"].notna().all()
    unknown = Run(linear.path, {**linear.description, "data": {}}, {}, {})
    assert not unknown.is_regression


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("settings.json", '{"format": 7}', r"settings\.json was written by a newer .* format 7"),
        ("settings.json", '{"format": 1}', r"settings\.json lacks run, settings, study"),
        ("settings.json", "[]", r"settings\.json is damaged"),
        ("status.json", "{", r"status\.json is damaged"),
        ("metrics.jsonl", "{}\n", r"metrics\.jsonl, line 1 is damaged"),
    ],
)
def test_a_damaged_run_is_an_error_that_names_the_file(runs, name, content, message):
    path = runs(kinds=())
    (path / name).write_text(content)
    with pytest.raises(ReportError, match=message):
        load_runs(path.parent, "train")


def test_nothing_to_load_says_what_was_looked_for(tmp_path):
    with pytest.raises(ReportError, match="nowhere does not exist"):
        read_runs(tmp_path / "nowhere")
    with pytest.raises(ReportError, match=r"no runs in .*settings\.json"):
        read_runs(tmp_path)
