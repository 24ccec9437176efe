"""Frames against records written by hand."""

import json
import math
import subprocess
import sys

import pandas as pd
import pytest

from bnkit import kinds
from bnkit.report import ReportError, frames, load_runs
from bnkit.report.runs import read_runs


def _metrics(directory, text):
    (directory / "metrics.jsonl").write_text(text)


def test_one_row_per_training_step_with_the_settings_as_columns(runs):
    run = runs(norm="bn", lr=0.5, seed=3, kinds=())
    _metrics(
        run,
        '{"step":0,"kind":"train","loss":2,"accuracy":0.25}\n'
        '{"step":1,"kind":"train","loss":"inf","accuracy":"nan"}\n',
    )
    table = load_runs(run, "train")
    assert list(table["step"]) == [0, 1]
    assert table["loss"].dtype == float and list(table["loss"]) == [2.0, math.inf]
    assert math.isnan(table["accuracy"][1])
    assert set(table["norm"]) == {"bn"} and set(table["seed"]) == {3}
    assert table["step_sizes"][0][0] == 0.05 and isinstance(table["step_sizes"][0], tuple)
    assert list(table.columns[:3]) == ["study", "run", "status"]


def test_landscape_has_a_row_per_step_size(runs):
    run = runs(kinds=())
    record = {
        "step": 25,
        "kind": "landscape",
        "loss": 1.5,
        "gradient_norm": 2.0,
        "step_sizes": [0.1, 0.2],
        "losses": [1.0, "nan"],
        "gradient_distances": [3.0, "inf"],
        "smoothness": "inf",
    }
    _metrics(run, json.dumps(record) + "\n")
    table = load_runs(run, "landscape")
    assert list(table["step_size"]) == [0.1, 0.2]
    assert list(table["gradient_distance"]) == [3.0, math.inf]
    assert table["loss_after_step"][0] == 1.0 and math.isnan(table["loss_after_step"][1])
    assert list(table["loss"]) == [1.5, 1.5] and list(table["smoothness"]) == [math.inf] * 2


def test_random_landscape_has_a_row_per_direction_and_step_size(runs):
    run = runs(kinds=())
    record = {
        "step": 0,
        "kind": "random_landscape",
        "loss": 1.5,
        "gradient_norm": 2.0,
        "step_sizes": [0.1, 0.2],
        "losses": [1.0, 2.0],
        "gradient_distances": [3.0, 4.0],
        "smoothness": 5.0,
    }
    lines = [json.dumps({**record, "direction": number}) + "\n" for number in (0, 1)]
    _metrics(run, "".join(lines))
    table = load_runs(run, "random_landscape")
    assert list(table["direction"]) == [0, 0, 1, 1]
    assert list(table["step_size"]) == [0.1, 0.2, 0.1, 0.2]
    assert list(table["loss_after_step"]) == [1.0, 2.0, 1.0, 2.0]


def test_covariate_shift_has_a_row_per_layer(runs):
    run = runs(kinds=())
    _metrics(
        run,
        '{"step":0,"kind":"ics","layers":["a","b"],"l2":[0,4],"cosine":[1,0.5],'
        '"gradient_norm":[1,2]}\n',
    )
    table = load_runs(run, "ics")
    assert list(table["layer"]) == ["a", "b"] and list(table["l2"]) == [0.0, 4.0]


def test_lists_of_unequal_length_are_refused_with_file_and_line(runs):
    run = runs(kinds=())
    _metrics(run, '{"step":0,"kind":"ics","layers":["a","b"],"l2":[1]}\n')
    with pytest.raises(ReportError, match=r"metrics\.jsonl, line 1 .*'layers': 2, 'l2': 1"):
        load_runs(run, "ics")


def test_a_kind_that_is_not_known_is_exploded_where_its_lists_agree(runs):
    run = runs(kinds=())
    _metrics(
        run,
        '{"step":0,"kind":"other","layers":["a","b"],"values":[[1,2],[3]],"width":7}\n'
        '{"step":1,"kind":"ragged","a":[1],"b":[1,2]}\n',
    )
    table = load_runs(run, "other")
    assert list(table["layer"]) == ["a", "b"] and list(table["values"]) == [(1, 2), (3,)]
    # The record's width must not hide the setting of that name.
    assert list(table["width"]) == [0.25] * 2 and list(table["other_width"]) == [7.0] * 2
    assert list(load_runs(run, "ragged")["b"]) == [[1, 2]]


def test_no_record_of_that_kind_gives_no_rows_and_the_same_columns(runs):
    full, empty = runs(norm="bn"), runs(norm="none", kinds=())
    (empty / "metrics.jsonl").unlink()
    for kind in kinds.KINDS:
        table = load_runs(empty, kind)
        assert len(table) == 0
        assert set(table.columns) == set(load_runs(full, kind).columns)


def test_an_unknown_kind_names_the_kinds_that_are_there(runs):
    run = runs(kinds=("train", "landscape"))
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step":0,"kind":"mine"}\n')
    with pytest.raises(ReportError) as caught:
        load_runs(run.parent, "landscpe")
    there = "there are train, landscape, mine"
    assert str(caught.value) == f"no records of kind 'landscpe' in {run.parent}: {there}"
    assert len(load_runs(run, "mine")) == 1


def test_a_kind_that_was_not_measured_is_an_empty_frame_and_a_warning(runs, caplog):
    run = runs(kinds=("train",))
    assert not len(load_runs(run, "curvature"))
    assert caplog.messages == [
        f"no records of kind 'curvature' in {run}: there are train; --probes=curvature measures it"
    ]
    caplog.clear()
    assert len(load_runs(run, "train")) and not len(load_runs(run, "eval"))
    assert caplog.messages == [f"no records of kind 'eval' in {run}: there are train"]


def test_a_study_without_records_says_why(runs, caplog):
    first, second, third = (runs(seed=seed, kinds=()) for seed in range(3))
    for run in (first, second):
        status = {"status": "failed", "reason": f"no memory\nin {run.name}", "steps": 0}
        (run / "status.json").write_text(json.dumps({**status, "seconds": {}}))
    for run in (first, second, third):
        (run / "metrics.jsonl").unlink()
    study = first.parent
    assert not len(load_runs(study, "train"))
    why = f"nothing is recorded (2 failed, 1 done); {first.name}: no memory in {first.name}"
    assert caplog.messages == [f"no records of kind 'train' in {study}: {why}"]
    with pytest.raises(ReportError, match=r"'other' in .*: nothing is recorded .*no memory in"):
        load_runs(study, "other")


def test_a_run_a_study_and_the_directory_of_studies(runs):
    one = runs(norm="bn", study="a")
    runs(norm="none", study="a")
    runs(norm="bn", study="b")
    assert load_runs(one, "eval")["run"].nunique() == 1
    assert load_runs(runs.root / "a", "eval")["run"].nunique() == 2
    assert set(load_runs(runs.root, "eval")["study"]) == {"a", "b"}


def test_what_no_part_accounts_for_is_other(runs):
    run = runs()
    seconds = {"data": 1.0, "train": 2.0, "total": 4.5}
    status = {"status": "done", "reason": "", "steps": 500, "seconds": seconds}
    (run / "status.json").write_text(json.dumps(status))
    table = frames.seconds_frame(read_runs(run)).set_index("part")["seconds"]
    assert table.to_dict() == {"data": 1.0, "train": 2.0, "other": 1.5}
    assert isinstance(table, pd.Series)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, bnkit.report\n"
        "heavy = {'pandas', 'matplotlib', 'seaborn', 'scipy', 'tensorflow', 'keras'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
