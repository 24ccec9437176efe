"""Which runs of a study are made, in which processes, and how they come out."""

import os
import signal
import subprocess
import sys
import time

import pytest
from study_runs import TINY, end, read, train_steps

from bnkit import study
from bnkit.settings import Settings
from bnkit.study import launch

LAYERS = """
import keras

class Broken(keras.layers.Layer):
    def build(self, shape):
        raise RuntimeError("this layer cannot be built")

class Halving(keras.layers.Layer):
    def call(self, inputs):
        return 0.5 * inputs
"""


# --- what is found on disk ---


def test_the_state_of_a_run_says_what_there_is_to_do(tmp_path):
    grid = study.grid(**TINY | {"seed": list(range(6))})
    end(tmp_path, grid[0], "done", steps=30)
    end(tmp_path, grid[1], "diverged", reason="the training loss is nan", steps=3)
    for settings, state in zip(grid[2:4], ("interrupted", "failed"), strict=True):
        checkpoints = end(tmp_path, settings, state, steps=9) / "checkpoints"
        checkpoints.mkdir()
        (checkpoints / "ckpt-9.index").write_text("")
    end(tmp_path, grid[4], "running")  # ended by force, before its first checkpoint
    states = [study.state(settings, tmp_path) for settings in grid]
    assert states == ["done", "diverged", "resume", "resume", "to do", "to do"]
    assert {study.state(s, tmp_path, resume=False) for s in grid} == {"to do"}
    assert not (tmp_path / grid[5].run_id).exists()


def test_runs_that_have_ended_start_no_process(tmp_path, monkeypatch):
    grid = study.grid(**TINY | {"seed": [0, 1]})
    end(tmp_path, grid[0], "done", steps=30)
    end(tmp_path, grid[1], "diverged", steps=3)
    monkeypatch.setattr(launch, "Process", lambda *a, **k: pytest.fail("started a process"))
    outcomes = study.run(grid, tmp_path, jobs=2)
    assert [(o.settings, o.state, o.seconds) for o in outcomes] == [
        (grid[0], "done", 0),
        (grid[1], "diverged", 0),
    ]


# --- the processes ---


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of a run that trains, one that diverges and one that fails: `(outcomes, grid)`."""
    work = tmp_path_factory.mktemp("study")
    (work / "users.py").write_text(LAYERS)
    grid = [
        Settings(**TINY | {"norm": "users:Halving"}),
        Settings(**TINY | {"lr": 1e30}),
        Settings(**TINY | {"norm": "users:Broken"}),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        # As an earlier call left it that was interrupted before it had measured anything.
        end(work / "study", grid[0], "interrupted", steps=0)
        outcomes = study.run(grid, "study", jobs=3, command=["the", "command"], progress=False)
    return outcomes, work / "study"


def test_a_run_that_fails_or_diverges_does_not_stop_the_others(made):
    outcomes, study_dir = made
    assert [outcome.state for outcome in outcomes] == ["done", "diverged", "failed"]
    good, diverged, failed = outcomes
    assert good.reason == "" and "loss is" in diverged.reason
    assert "RuntimeError: this layer cannot be built" in failed.reason
    assert all(outcome.seconds > 0 for outcome in outcomes)
    directory = study_dir / good.settings.run_id
    assert read(directory, "status.json")["steps"] == 30
    assert train_steps(directory) == list(range(30))
    assert read(directory, "settings.json")["command"] == ["the", "command"]
    assert not (study_dir / failed.settings.run_id / "settings.json").exists()


def test_what_a_run_prints_is_kept_beside_its_records(made):
    outcomes, study_dir = made
    for outcome in outcomes:
        assert (study_dir / outcome.settings.run_id / "run.log").exists()
    log = (study_dir / outcomes[2].settings.run_id / "run.log").read_text()
    assert "Traceback" in log and log.splitlines()[-1] == outcomes[2].reason


# Enough steps to interrupt; every evaluation would end a graph call.
LONG = TINY | {"steps": 3000, "eval_every": 3000}
SCRIPT = """
import sys
from bnkit import study

grid = study.grid(**{long}, seed=[0, 1])
outcomes = study.run(grid, sys.argv[1], progress=False)
print(*(outcome.state.replace(" ", "_") for outcome in outcomes))
"""


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@pytest.fixture
def at_work(tmp_path):
    """A process with a study at work, at a run that is training: `(process, run directory)`."""
    first, _ = study.grid(**LONG, seed=[0, 1])
    directory = tmp_path / "study" / first.run_id
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(long=LONG), directory.parent],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for((directory / "metrics.jsonl").exists)
            yield process, directory
        finally:
            process.kill()


def test_control_c_saves_the_run_at_hand_and_the_same_call_goes_on(at_work):
    process, directory = at_work
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0].split() == ["interrupted", "to_do"]
    assert list(directory.parent.iterdir()) == [directory]
    status = read(directory, "status.json")
    assert status["status"] == "interrupted" and 0 < status["steps"] < 3000
    assert list(directory.glob(f"checkpoints/ckpt-{status['steps']}.index"))
    assert train_steps(directory) == list(range(status["steps"]))
    (outcome,) = study.run([Settings(**LONG)], directory.parent, progress=False)
    assert outcome.state == "done"
    assert f"goes on from step {status['steps']}" in (directory / "run.log").read_text()
    assert train_steps(directory) == list(range(3000))


def test_no_run_outlives_its_study(at_work):
    process, directory = at_work
    process.kill()
    wait_for(lambda: read(directory, "status.json")["status"] != "running")
    assert read(directory, "status.json")["status"] == "interrupted"


def test_a_third_control_c_ends_at_once(tmp_path, monkeypatch):
    events = []

    class Patient:
        """A run that does not end when it is asked to."""

        has_begun, has_ended = True, False

        def __init__(self, settings, study_dir, **options):
            self.settings, self.log = settings, study_dir / "run.log"

        def interrupt(self):
            events.append("interrupt")
            os.kill(os.getpid(), signal.SIGINT)

        def kill(self):
            events.append("kill")
            self.has_ended = True

        def result(self):
            return "interrupted", "stopped by hand", 1.0

    def start(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return Patient(*arguments, **options)

    monkeypatch.setattr(launch, "Process", start)
    before = signal.getsignal(signal.SIGINT)
    outcomes = study.run(study.grid(**TINY | {"seed": [0, 1]}), tmp_path, progress=False)
    assert events == ["interrupt", "interrupt", "kill"]
    assert [outcome.state for outcome in outcomes] == ["interrupted", "to do"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def environments(monkeypatch):
    """`{name: value}` of every process that `study.run` starts; none does anything."""
    seen = []

    class Nothing:
        has_begun = has_ended = True

        def __init__(self, settings, study_dir, *, environment, **options):
            seen.append(environment)
            self.settings, self.log = settings, study_dir / "run.log"

        def result(self):
            return "done", "", 1.0

    monkeypatch.setattr(launch, "Process", Nothing)
    monkeypatch.setattr(launch, "cores", lambda: 8)
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return seen


@pytest.mark.parametrize(("jobs", "threads"), [(1, None), (2, "4"), (3, "2"), (20, "1")])
def test_runs_at_a_time_share_the_cores(jobs, threads, environments, tmp_path):
    grid = study.grid(**TINY | {"seed": list(range(10))})
    study.run(grid, tmp_path, jobs=jobs, progress=False)
    assert len(environments) == 10
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        assert {environment.get(name) for environment in environments} == {threads}


def test_a_run_has_the_threads_that_are_asked_for(environments, tmp_path):
    study.run([Settings(**TINY)], tmp_path, cpus=3, progress=False)
    study.run(study.grid(**TINY | {"seed": [1, 2]}), tmp_path, jobs=2, cpus=5, progress=False)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        assert [environment[name] for environment in environments] == ["3", "5", "5"]


def test_the_threads_of_a_run_do_not_depend_on_how_many_runs_are_left(environments, tmp_path):
    grid = study.grid(**TINY | {"seed": [0, 1, 2]})
    for settings in grid[:2]:
        end(tmp_path, settings, "done")
    study.run(grid, tmp_path, jobs=2, progress=False)
    assert [environment["TF_NUM_INTRAOP_THREADS"] for environment in environments] == ["4"]


def test_threads_that_the_user_has_set_stay(environments, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    study.run(study.grid(**TINY | {"seed": [0, 1]}), tmp_path, jobs=2, progress=False)
    assert {environment["TF_NUM_INTRAOP_THREADS"] for environment in environments} == {"3"}
    assert {environment["OMP_NUM_THREADS"] for environment in environments} == {"4"}
