"""What a run writes, read from the files themselves."""

import concurrent.futures
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from bnkit.store import RunDir, RunError, wait_until_free

SETTINGS = {"norm": "bn", "lr": 0.1, "seed": 0}
DESCRIPTION = {"study": "study", "run": "run", "settings": SETTINGS}


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


def test_starting_again_removes_what_bnkit_wrote_and_nothing_else(tmp_path):
    own = (
        "checkpoints/ckpt-3.index",
        "checkpoints/checkpoint",
        "events.out.tfevents.1.bnkit",
        "events.out.tfevents.1.report",
        "tensorboard/events.out.tfevents.1",
    )
    foreign = (
        "notes.txt",
        "events.out.tfevents.2",
        "checkpoints/mine",
        "tensorboard/mine",
        "figures/mine.png",
        "run.log",
    )
    with RunDir(tmp_path) as run:
        assert run.description is None
        run.start(DESCRIPTION)
        run.append({"step": 0, "kind": "train"})
        for name in (*own, *foreign):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("x")
        (tmp_path / "link").symlink_to(tmp_path / "notes.txt")
        run.start({**DESCRIPTION, "more": 2})
        assert run.records() == []
        assert run.description == {"format": 1, **DESCRIPTION, "more": 2}
    assert not any((tmp_path / name).exists() for name in own)
    assert all((tmp_path / name).read_text() == "x" for name in (*foreign, "link"))


@pytest.mark.parametrize(
    "name", ["settings.json", "status.json", "metrics.jsonl", "checkpoints", "tensorboard", ".lock"]
)
def test_nothing_is_written_through_a_link(tmp_path, name):
    target = tmp_path / "elsewhere"
    if name in ("checkpoints", "tensorboard"):
        target.mkdir()
    else:
        target.write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    (run / name).symlink_to(target)
    with pytest.raises(RunError, match=f"{name} is a link"):
        RunDir(run)
    assert not list(target.iterdir()) if target.is_dir() else target.read_text() == "precious"


def test_a_run_whose_directory_is_deleted_says_so(tmp_path):
    with RunDir(tmp_path / "run") as run:
        run.start(DESCRIPTION)
        run.append({"step": 0, "kind": "train"})
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(RunError, match=r"metrics\.jsonl is gone: it was deleted"):
            run.append({"step": 1, "kind": "train"})


def test_a_full_disk_names_the_file_and_keeps_what_was_written(tmp_path):
    """On a file system of 16 KiB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with RunDir(disk / "run") as run:
            run.start(DESCRIPTION)
            with pytest.raises(RunError, match=r"metrics\.jsonl cannot be written: No space left"):
                for step in range(1000):
                    run.append({"step": step, "kind": "train", "loss": 0.5})
            written = run.records()
        assert [record["step"] for record in written] == list(range(len(written)))
        assert 10 < len(written) < 1000
    finally:
        subprocess.run(["umount", str(disk)], check=True)


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


def test_a_run_is_waited_for_until_it_is_free(tmp_path):
    wait_until_free(tmp_path / "not_there", 0)
    run = RunDir(tmp_path / "run")
    with pytest.raises(RunError, match=f"another process is writing to {run.path}"):
        wait_until_free(run.path, 0.1)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait_until_free, run.path, 30)
        time.sleep(0.2)
        assert not waiting.done()
        run.close()
        waiting.result()
    RunDir(run.path).close()
