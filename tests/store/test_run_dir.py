"""What a run writes, read from the files themselves."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bnkit.store import RunDir, RunError

DESCRIPTION = {"study": "study", "run": "run", "settings": {"norm": "bn"}}


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_records_are_on_disk_as_soon_as_they_are_appended(tmp_path):
    with RunDir(tmp_path / "run") as run:
        run.start(DESCRIPTION)
        run.append({"step": 0, "kind": "train", "loss": np.float32(0.5)})
        assert lines(run.path) == [{"step": 0, "kind": "train", "loss": 0.5}]
        run.append({"step": 1, "kind": "train", "loss": float("inf")})
        assert lines(run.path)[1]["loss"] == "inf"
        assert run.records() == [
            {"step": 0, "kind": "train", "loss": 0.5},
            {"step": 1, "kind": "train", "loss": float("inf")},
        ]


def test_status_says_how_far_a_run_is(tmp_path):
    with RunDir(tmp_path) as run:
        assert run.status is None
        run.start(DESCRIPTION)
        assert run.status["status"] == "running"
        run.set_status("diverged", reason="loss is nan", steps=7, seconds={"train": 1.23456})
        written = json.loads((tmp_path / "status.json").read_text())
        assert written == run.status
        assert written == {
            "status": "diverged",
            "reason": "loss is nan",
            "steps": 7,
            "seconds": {"train": 1.235},
        }
        with pytest.raises(ValueError, match="Received: 'finished'"):
            run.set_status("finished")
        assert run.status == written
    assert names(tmp_path) == [".lock", "settings.json", "status.json"]


def test_truncating_drops_what_came_after_the_checkpoint(tmp_path):
    with RunDir(tmp_path) as run:
        run.start(DESCRIPTION)
        assert run.metrics_length() == 0
        run.append({"step": 0, "kind": "train"})
        length = run.metrics_length()
        run.append({"step": 1, "kind": "train"})
        run.truncate_metrics(length)
        run.append({"step": 1, "kind": "eval"})
        assert lines(tmp_path) == [{"step": 0, "kind": "train"}, {"step": 1, "kind": "eval"}]
        with pytest.raises(RunError, match=r"metrics\.jsonl is shorter"):
            run.truncate_metrics(10_000)
        run.truncate_metrics(0)
        assert run.records() == [] and run.metrics_length() == 0


def test_starting_again_empties_the_directory_but_for_the_log(tmp_path):
    with RunDir(tmp_path) as run:
        assert run.description is None
        run.start(DESCRIPTION)
        run.append({"step": 0, "kind": "train"})
        run.checkpoints.mkdir()
        (run.checkpoints / "ckpt").write_text("x")
        (tmp_path / "run.log").write_text("printed by the run that starts now")
    with RunDir(tmp_path) as run:
        run.start({**DESCRIPTION, "more": 2})
        assert names(tmp_path) == [".lock", "run.log", "settings.json", "status.json"]
        assert run.description == {"format": 1, **DESCRIPTION, "more": 2}


def test_a_run_belongs_to_one_process(tmp_path):
    code = "import sys; from bnkit.store import RunDir; RunDir(sys.argv[1])"
    with RunDir(tmp_path):
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
        )
    assert "another process" in other.stderr
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_damage_is_named(tmp_path):
    (tmp_path / "status.json").write_text('{"status": ')
    with RunDir(tmp_path) as run, pytest.raises(RunError, match=r"status\.json is damaged"):
        run.status  # noqa: B018
