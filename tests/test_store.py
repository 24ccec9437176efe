import json
import subprocess
import sys

import numpy as np
import pytest

from bnkit.store import RunDir, RunError, to_json


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_records_are_on_disk_as_soon_as_they_are_appended(tmp_path):
    with RunDir(tmp_path / "run") as run:
        run.start({"run": "run"})
        run.append({"step": 0, "kind": "train", "loss": np.float32(0.5)})
        assert lines(run.path) == [{"step": 0, "kind": "train", "loss": 0.5}]
        run.append({"step": 1, "kind": "train", "loss": float("nan")})
        assert lines(run.path)[1]["loss"] == "nan"


def test_plain_values():
    values = {"a": np.array([1.0, np.inf, -np.inf]), "b": (np.int64(3), True, None, "text")}
    assert to_json(values) == {"a": [1.0, "inf", "-inf"], "b": [3, True, None, "text"]}
    with pytest.raises(TypeError, match="object"):
        to_json(object())


def test_status_says_how_far_a_run_is(tmp_path):
    with RunDir(tmp_path) as run:
        assert run.status is None
        run.start({})
        assert run.status["status"] == "running"
        run.set_status("diverged", reason="loss is nan", steps=7, seconds={"train": 1.23456})
        assert run.status == {
            "status": "diverged",
            "reason": "loss is nan",
            "steps": 7,
            "seconds": {"train": 1.235},
        }
    assert not list(tmp_path.glob("*.unfinished"))


def test_truncating_drops_what_came_after_the_checkpoint(tmp_path):
    with RunDir(tmp_path) as run:
        run.start({})
        assert run.metrics_length() == 0
        run.append({"step": 0, "kind": "train"})
        length = run.metrics_length()
        run.append({"step": 1, "kind": "train"})
        run.truncate_metrics(length)
        run.append({"step": 1, "kind": "eval"})
        assert lines(tmp_path) == [{"step": 0, "kind": "train"}, {"step": 1, "kind": "eval"}]
        with pytest.raises(RunError, match="shorter"):
            run.truncate_metrics(10_000)


def test_starting_again_empties_the_directory(tmp_path):
    with RunDir(tmp_path) as run:
        run.start({"first": 1})
        run.append({"step": 0, "kind": "train"})
        run.checkpoints.mkdir()
        (run.checkpoints / "ckpt").write_text("x")
    with RunDir(tmp_path) as run:
        run.start({"second": 2})
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            ".lock",
            "settings.json",
            "status.json",
        ]
        assert run.settings == {"format": 1, "second": 2}


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
