"""A study: which runs are made, in which processes, and how they come out."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bnkit import study
from bnkit.settings import Settings, SettingsError
from bnkit.store import RunDir, RunError
from bnkit.study import display, launch, tables, timing

# The deep linear network in its smallest form: nothing but the process itself takes time.
TINY = {
    "model": "dln",
    "depth": 2,
    "samples": 20,
    "norm": "none",
    "steps": 30,
    "probes": (),
    "probe_every": 10,
    "eval_every": 10,
}
LAYERS = """
import keras

class Broken(keras.layers.Layer):
    def build(self, shape):
        raise RuntimeError("this layer cannot be built")

class Halving(keras.layers.Layer):
    def call(self, inputs):
        return 0.5 * inputs
"""


def read(directory, name):
    return json.loads((directory / name).read_text())


def train_steps(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [r["step"] for r in map(json.loads, lines) if r["kind"] == "train"]


def end(study_dir, settings, state, **status):
    """Leaves what a run of these settings that ended so leaves, in short."""
    with RunDir(study_dir / settings.run_id) as run:
        run.start({"study": study_dir.name, "run": settings.run_id})
        for step in range(status.get("steps", 0)):
            run.append({"step": step, "kind": "train", "loss": 1.0})
        run.set_status(state, **status)
    return run.path


# --- the grid ---


def test_every_combination_is_one_run_all_arms_of_a_seed_first():
    grid = study.grid(norm=["none", "bn"], lr=(0.1, 0.5), seed=[0, 1], steps=7)
    assert [(s.seed, s.norm, s.lr) for s in grid] == [
        (seed, norm, lr) for seed in (0, 1) for norm in ("none", "bn") for lr in (0.1, 0.5)
    ]
    assert {s.steps for s in grid} == {7} and len({s.run_id for s in grid}) == 8


def test_a_value_that_is_no_list_is_not_varied():
    assert study.grid(norm="bn", lr=0.5) == [Settings(norm="bn", lr=0.5)]
    assert study.grid(probes=["ics"], step_sizes=[0.1, 0.2]) == [
        Settings(probes=("ics",), step_sizes=(0.1, 0.2))
    ]


def test_what_is_not_chosen_follows_from_each_model():
    vgg, linear = study.grid(model=["vgg11", "dln"], lr=None)
    assert (vgg, linear) == (Settings(), Settings(model="dln"))
    assert (vgg.lr, linear.lr, vgg.batch_size, linear.batch_size) == (0.1, 1e-6, 128, 1000)


@pytest.mark.parametrize(
    ("choices", "field", "value"),
    [
        ({"lr": [0.1, -1]}, "lr", -1),
        ({"norm": ["bn", "b n"]}, "norm", "b n"),
        ({"seed": [0, 1, 0]}, "seed", (0, 1, 0)),
        ({"width": [1, 1.0]}, "width", (1, 1.0)),
        ({"lr": []}, "lr", ()),
        ({"model": ["dln", "vgg11"], "samples": 20}, "samples", 20),
    ],
)
def test_a_wrong_entry_of_a_list_is_named(choices, field, value):
    with pytest.raises(SettingsError) as caught:
        study.grid(**choices)
    assert (caught.value.field, caught.value.value) == (field, value)


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


def test_a_damaged_run_is_told_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "Process", lambda *a, **k: pytest.fail("started a process"))
    grid = study.grid(**TINY | {"seed": [0, 1]})
    end(tmp_path, grid[1], "done")
    (tmp_path / grid[1].run_id / "status.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        study.run(grid, tmp_path)


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
        # As an earlier call left it that was interrupted before it had a checkpoint.
        end(work / "study", grid[0], "interrupted", steps=4)
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


def test_the_table_has_a_row_for_every_run(made):
    outcomes, study_dir = made
    heads = tables.read_headlines(outcomes, study_dir)
    table = tables.outcome_table(outcomes, heads)
    assert table["norm"].tolist() == ["users:Halving", "none", "users:Broken"]
    assert table["state"].tolist() == ["done", "diverged", "failed"]
    lines = (study_dir / outcomes[0].settings.run_id / "metrics.jsonl").read_text().splitlines()
    losses = [r["loss"] for r in map(json.loads, lines) if r["kind"] == "train"]
    assert table["loss"][0] == pytest.approx(sum(losses) / 30)
    total = read(study_dir / outcomes[0].settings.run_id, "status.json")["seconds"]["total"]
    assert table["seconds"][0] == total
    assert table.loc[2, ["loss", "seconds"]].isna().all()
    assert "accuracy" not in table  # a regression has none
    assert "users:Broken" in tables.text(table).splitlines()[3]


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

        has_ended = False

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
        has_ended = True

        def __init__(self, settings, study_dir, *, environment, **options):
            seen.append(environment)
            self.settings, self.log = settings, study_dir / "run.log"

        def result(self):
            return "done", "", 1.0

    monkeypatch.setattr(launch, "Process", Nothing)
    monkeypatch.setattr(launch, "_cores", lambda: 8)
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


def test_threads_that_the_user_has_set_stay(environments, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    study.run(study.grid(**TINY | {"seed": [0, 1]}), tmp_path, jobs=2, progress=False)
    assert {environment["TF_NUM_INTRAOP_THREADS"] for environment in environments} == {"3"}
    assert {environment["OMP_NUM_THREADS"] for environment in environments} == {"4"}


# --- the progress bar ---


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_one_bar_counts_the_steps_of_all_runs(tmp_path, monkeypatch):
    grid = study.grid(**TINY | {"seed": [0, 1, 2]})  # 30 steps each
    end(tmp_path, grid[0], "done", steps=30)
    outcomes = {grid[0]: study.Outcome(grid[0], "done")}
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(display, "_PAUSE", 0)
    with display.Display(tmp_path, grid, outcomes, progress=True) as bar:
        end(tmp_path, grid[1], "running", steps=6)
        bar.show(grid[1:2])
        assert "36/90" in last_line(shown) and "1 done, 1 running of 3 runs" in last_line(shown)
        with open(tmp_path / grid[1].run_id / "metrics.jsonl", "a") as records:
            records.write('{"step": 6, "kind": "eval"}\n{"step": 6, "kind": "train", "lo')
            records.flush()
            bar.show(grid[1:2])
            assert "36/90" in last_line(shown)  # the line is not complete
            records.write('ss": 1.0}\n')
        bar.show(grid[1:2])
        assert "37/90" in last_line(shown)
        # Cut back to a checkpoint, as a run that goes on is.
        end(tmp_path, grid[1], "running", steps=5)
        bar.show(grid[1:2])
        assert "35/90" in last_line(shown)
        # It diverges: the steps that it will never make are no longer waited for.
        outcomes[grid[1]] = study.Outcome(grid[1], "diverged")
        bar.show(grid[2:])
        assert "35/65" in last_line(shown)
        assert "1 done, 1 diverged, 1 running of 3 runs" in last_line(shown)


def last_line(shown):
    return shown.getvalue().split("\r")[-1]


def test_the_log_of_a_run_that_nobody_watches_stays_free_of_bars(tmp_path, capsys):
    grid = study.grid(**TINY | {"seed": [0, 1]})
    with display.Display(tmp_path, grid, {}, progress=True) as bar:
        bar.show(grid)
    assert capsys.readouterr().err == ""


# --- the estimate of the time ---


def test_the_cost_of_a_run_counts_what_it_will_do():
    cost = timing.Cost(start=10.0, step=0.1, probes=2.0, evaluation=1.0)
    settings = Settings(**TINY | {"steps": 100, "probe_every": 25, "eval_every": 40})
    # Probes at 0, 25, 50, 75; evaluations at 0, 40, 80 and 100. The start has one and two of them.
    assert cost.seconds(settings) == pytest.approx(10 + 99 * 0.1 + 3 * 2 + 2 * 1)
    # From step 60: one probe, at 75; evaluations at 80 and 100.
    assert cost.seconds(settings, made=60) == pytest.approx(10 + 39 * 0.1)


@pytest.mark.parametrize(
    ("seconds", "jobs", "expected"),
    [([], 1, 0), ([1, 2, 3], 1, 6), ([3, 1, 1, 1], 2, 3), ([1, 1, 4], 2, 5), ([5, 1], 4, 5)],
)
def test_the_next_run_starts_where_a_place_is_free(seconds, jobs, expected):
    assert timing.in_all(seconds, jobs) == expected


def test_the_estimate_is_what_two_short_runs_of_each_kind_tell(tmp_path, monkeypatch):
    made = []

    def run(grid, study_dir, *, jobs, data_dir, progress):
        assert (jobs, data_dir) == (2, "data") and study_dir.parent != tmp_path
        made.extend(grid)
        outcomes = []
        for settings in grid:
            if settings.norm == "bn":
                outcomes.append(study.Outcome(settings, "failed", "no such thing", 3.0))
                continue
            # 0.5 s a step, 2 s all probes together, 1 s an evaluation; 5 s in the first call.
            probes, evaluations = -(-settings.steps // settings.probe_every), 1
            evaluations += -(-settings.steps // settings.eval_every)
            seconds = {"data": 1.0, "compile": 4.0, "train": 0.5 * (settings.steps - 1)}
            seconds |= {"landscape": 1.5 * probes, "ics": 0.5 * probes, "evaluate": evaluations}
            end(study_dir, settings, "done", seconds=seconds | {"total": 99.0})
            outcomes.append(study.Outcome(settings, "done", seconds=20.0))
        return outcomes

    monkeypatch.setattr(timing, "run", run)
    arms = study.grid(norm=["none", "bn"], lr=[0.1, 0.5], seed=[0, 1], steps=101, probe_every=50)
    states = dict.fromkeys(arms, "to do")
    estimates = timing.estimate(states, tmp_path, jobs=2, data_dir="data", progress=False)
    assert len(made) == 4  # two for each normalisation, whatever the learning rate and the seed
    # 101 steps, probes at 0, 50, 100, evaluations at 0, 50, 100 and 101.
    expected = 20 + 100 * 0.5 + 2 * 2 + 2 * 1
    for settings in arms:
        wanted = None if settings.norm == "bn" else pytest.approx(expected)
        assert estimates[settings] == wanted


def test_the_estimate_of_a_run_to_go_on_with_is_of_what_is_left(tmp_path, monkeypatch):
    settings = Settings(**TINY | {"steps": 100})
    end(tmp_path, settings, "interrupted", steps=60)
    monkeypatch.setattr(
        timing, "run", lambda grid, *a, **k: [study.Outcome(s, "done") for s in grid]
    )
    monkeypatch.setattr(timing, "_cost", lambda *a: timing.Cost(10.0, 1.0, 0.0, 0.0))
    assert timing.estimate({settings: "resume"}, tmp_path)[settings] == 10 + 39
    assert timing.estimate({settings: "to do"}, tmp_path)[settings] == 10 + 99


def test_the_plan_tells_states_and_times():
    grid = study.grid(norm=["none", "bn", "l1"], seed=0, width=[0.5, 1])
    states = dict(zip(grid, ["done", "to do", "resume", "to do", "to do", "to do"], strict=True))
    estimates = dict(zip(grid[1:], [59.6, 3725, None, 1, 1], strict=True))
    table = tables.plan_table(grid, states, estimates)
    assert table.columns.tolist() == ["width", "norm", "lr", "seed", "state", "estimate"]
    assert table["estimate"].tolist()[:4] == ["-", "0:01:00", "1:02:05", "cannot run"]
