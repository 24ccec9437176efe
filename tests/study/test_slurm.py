"""A study as SLURM array jobs: what is handed over, the tasks by hand, and what is gathered.

`sbatch` and `squeue` are stand-ins: the one numbers the jobs, the other prints a file.
"""

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest
from study_runs import TINY, end, read, train_steps

from bnkit import main, study
from bnkit.settings import Settings
from bnkit.store import RunDir, RunFiles
from bnkit.study import slurm

SBATCH = """#!/bin/bash
if [ -e refuses ]; then echo "sbatch: error: invalid partition" >&2; exit 1; fi
echo "$@" >> submitted
echo "$((99 + $(wc -l < submitted)));a_cluster"
"""
SQUEUE = """#!/bin/bash
[ "$*" = "--me --noheader --array --format=%F_%K %T" ] && cat queue
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory, with SLURM's programs on the PATH."""
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    (tmp_path / "queue").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def states(outcomes):
    return [outcome.state for outcome in outcomes]


def task(script, index, **options):
    """Starts a task as SLURM does: from another directory, with nothing on its input."""
    return subprocess.Popen(
        ["bash", script],
        cwd="/",
        env={**os.environ, "SLURM_ARRAY_TASK_ID": str(index), **options},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def test_the_script_asks_for_what_a_run_needs(place):
    grid = study.grid(**TINY | {"seed": [0, 1, 2]})
    outcomes = slurm.run(grid, "a study", jobs=2, cpus=4, gpus=1)
    assert states(outcomes) == ["queued"] * 3
    script = place / "a study" / "slurm" / "1.sh"
    assert (place / "submitted").read_text() == f"--parsable {script}\n"
    lines = script.read_text().splitlines()
    asked = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    assert asked == {
        "--job-name=bnkit-a_study",
        "--array=0-2%2",
        "--ntasks=1",
        "--cpus-per-task=4",
        "--gres=gpu:1",
        f"--output='{place}/a study/slurm/1.%a.out'",
        "--open-mode=append",
        "--requeue",
        "--signal=B:TERM@120",
    }
    assert 'export TF_NUM_INTRAOP_THREADS="${TF_NUM_INTRAOP_THREADS:-4}"' in lines
    assert "export CUDA_VISIBLE_DEVICES=" not in lines
    assert lines[-2] == f"cd {shlex.quote(str(place))} || exit 1"
    subprocess.run(["bash", "-n", script], check=True)


def test_what_slurm_has_is_not_handed_over_again_and_what_it_has_dropped_is(place, caplog):
    grid = study.grid(**TINY | {"seed": [0, 1, 2, 3]})
    study_dir = place / "runs"
    end(study_dir, grid[0], "done")
    assert states(slurm.run(grid[:3], study_dir)) == ["done", "queued", "queued"]
    (place / "queue").write_text("7_1 RUNNING\n100_0 RUNNING\n100_1 PENDING\n")
    assert states(slurm.run(grid, study_dir)) == ["done", "running", "queued", "queued"]
    assert [len(slurm.Submission(study_dir / "slurm" / n).tasks()) for n in "12"] == [2, 1]
    # The second was killed, and left no trace but its files; the third is taken up again.
    end(study_dir, grid[1], "running")
    (place / "queue").write_text("100_1 REQUEUED\n101_0 COMPLETING\n")
    assert states(slurm.run(grid, study_dir)) == ["done", "queued", "queued", "running"]
    assert "1 of the runs have left SLURM before they ended" in caplog.text
    (again,) = slurm.Submission(study_dir / "slurm" / "3").tasks()
    assert again["run"] == grid[1].run_id and again["resume"] is True
    assert len((place / "submitted").read_text().splitlines()) == 3


def test_a_failure_is_told_once_all_have_ended_and_may_be_tried_again(place, caplog):
    grid = study.grid(**TINY | {"seed": [0, 1]})
    study_dir = place / "runs"
    slurm.run(grid, study_dir)
    slurm.Submission(study_dir / "slurm" / "1").tell_failure(0, "ValueError: no")
    (place / "queue").write_text("100_1 RUNNING\n")
    for _ in range(2):
        assert states(slurm.run(grid, study_dir)) == ["failed", "running"]
    end(study_dir, grid[1], "done")
    (place / "queue").write_text("")
    outcomes = slurm.run(grid, study_dir)
    assert [(o.state, o.reason) for o in outcomes] == [("failed", "ValueError: no"), ("done", "")]
    log = RunFiles(study_dir / grid[0].run_id).log
    assert f"failed: ValueError: no (all it printed: {log})" in caplog.text
    assert states(slurm.run(grid, study_dir)) == ["queued", "done"]


def test_more_runs_than_an_array_job_takes_are_several(place, monkeypatch):
    monkeypatch.setattr(slurm, "_MOST_TASKS", 2)
    grid = study.grid(**TINY | {"seed": list(range(5))})
    slurm.run(grid, place / "runs")
    scripts = sorted((place / "runs" / "slurm").glob("*.sh"))
    arrays = [re_array(script.read_text()) for script in scripts]
    assert arrays == ["0-1", "0-1", "0-0"]
    (place / "queue").write_text("100_0 PENDING\n102_0 RUNNING\n")
    for settings in grid[1:4]:
        end(place / "runs", settings, "done")
    assert states(slurm.run(grid, place / "runs")) == ["queued", *["done"] * 3, "running"]


def re_array(text):
    (line,) = [line for line in text.splitlines() if "--array=" in line]
    return line.partition("=")[2]


def test_what_slurm_refuses_leaves_nothing(place):
    (place / "refuses").write_text("")
    with pytest.raises(study.LauncherError, match="sbatch refused: sbatch: error: invalid part"):
        slurm.run([Settings(**TINY)], place / "runs")
    assert not list((place / "runs" / "slurm").iterdir())


def test_a_machine_without_slurm_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(study.LauncherError, match="needs sbatch and squeue, not found"):
        slurm.check()


def test_a_task_by_hand_is_interrupted_and_goes_on(place):
    settings = Settings(**TINY | {"steps": 6000, "eval_every": 1000})
    directory = place / "runs" / settings.run_id
    slurm.run([settings], "runs", cpus=3, checkpoint_seconds=600)
    with task(place / "runs" / "slurm" / "1.sh", 0) as process:
        wait_for(lambda: process.poll() is not None or RunFiles(directory).records.exists())
        process.send_signal(signal.SIGTERM)  # As SLURM does before the time is up.
    assert process.returncode == 130
    status = read(directory, "status.json")
    assert (status["status"], status["reason"]) == ("interrupted", "stopped by SIGTERM")
    # It goes on with the threads that it was begun with.
    assert states(slurm.run([settings], "runs", cpus=1)) == ["queued"]
    told = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "local_device=1"}
    with task(place / "runs" / "slurm" / "2.sh", 0, **told) as process:
        pass
    assert process.returncode == 0
    assert train_steps(directory) == list(range(6000))
    log = RunFiles(directory).log.read_text()
    assert f"goes on from step {status['steps']}" in log
    # What TensorFlow itself says of it, and what the run's description does.
    assert "num_threads=3" in log
    assert read(directory, "settings.json")["device"]["threads"] == 3
    assert states(slurm.run([settings], "runs")) == ["done"]


def test_a_task_that_fails_says_why(place):
    """Without TensorFlow, so that it fails at once."""
    (place / "tensorflow.py").write_text("raise ImportError('broken here')")
    settings = Settings(**TINY)
    slurm.run([settings], "runs")
    with task(place / "runs" / "slurm" / "1.sh", 0) as process:
        pass
    assert process.returncode == 1
    (outcome,) = slurm.run([settings], "runs")
    assert (outcome.state, outcome.reason) == ("failed", "ImportError: broken here")
    log = RunFiles(place / "runs" / settings.run_id).log.read_text().splitlines()
    assert log[0] == f"on {os.uname().nodename}" and log[-1] == outcome.reason


def test_a_task_does_not_write_to_a_run_that_another_process_has(place):
    settings = Settings(**TINY)
    slurm.run([settings], "runs")
    code = "import sys; from bnkit.study import slurm_task as t; t._PATIENCE = 0.1; "
    code += "sys.exit(t.main(['', *sys.argv[1:]]))"
    with RunDir(place / "runs" / settings.run_id):
        submission = place / "runs" / "slurm" / "1"
        done = subprocess.run([sys.executable, "-c", code, submission, "0"])
    assert done.returncode == 1
    (outcome,) = slurm.run([settings], "runs")
    assert outcome.state == "failed" and "another process is writing to" in outcome.reason


def test_the_same_command_says_how_far_it_is_and_reports_in_the_end(place, capsys):
    def command(flags=""):
        arguments = "--model=dln --depth=2 --samples=20 --norm=none --steps=4 --lr=1e-6 --seed=0,1"
        return main.main(["bnkit", *arguments.split(), "--launcher=slurm", *flags.split()])

    assert command() == main.QUEUED == 3
    shown = capsys.readouterr()
    assert [line.split()[3] for line in shown.out.splitlines()] == ["state", "queued", "queued"]
    assert "2 runs handed over to SLURM as the array job 100: " in shown.err
    assert "0 of 2 runs have ended; SLURM has the others: 0 running, 2 queued. " in shown.err
    assert not list(pathlib.Path("reports").rglob("*.html"))
    first, second = (
        Settings(**asked["settings"])
        for asked in slurm.Submission(place / "runs" / "main" / "slurm" / "1").tasks()
    )
    end(place / "runs" / "main", first, "done", steps=4)
    (place / "queue").write_text("100_1 RUNNING\n")
    assert command() == 3
    assert (
        "1 of 2 runs have ended; SLURM has the others: 1 running, 0 queued. "
        in capsys.readouterr().err
    )
    end(place / "runs" / "main", second, "done", steps=4)
    assert command() == 0
    assert pathlib.Path("reports", "main", "index.html").exists()
    assert len((place / "submitted").read_text().splitlines()) == 1
    (place / "bin" / "sbatch").unlink()
    (place / "bin" / "squeue").unlink()
    assert command("--study=other") == 2
    assert "needs sbatch and squeue" in capsys.readouterr().err
    assert not pathlib.Path("runs", "other").exists()
