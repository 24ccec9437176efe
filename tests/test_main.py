import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys

import pandas as pd
import pytest
from study_runs import end

import bnkit
from bnkit import command_line, experiment, main, preflight, study
from bnkit.messages import python_command
from bnkit.settings import SettingsError
from bnkit.store import RunFailed
from bnkit.study import range_test, ray_launcher, timing
from bnkit.training import Trainer

TINY = "--width=0.02 --batch_size=16 --steps=6 --probe_every=4 --eval_every=4 --step_sizes=0.1,0.2"
TENSORBOARD = ("-m", "tensorboard.main", "--logdir")
LINEAR = "--model=dln --depth=2 --samples=20 --steps=4 --probes= --norm=none"


def command(arguments):
    return main.main(["bnkit", *arguments.split()])


def settings_of(*arguments):
    """The settings of all runs that the arguments ask for."""
    return command_line.parse(["bnkit", *arguments])[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--lr=fast", "flag --lr=fast: must be a number"),
        ("--norm=bn,batch", "flag --norm=batch: must be one of none, bn, "),
        ("--norm=bn,no_such_module:Norm", "`norm` cannot be imported: ModuleNotFoundError"),
        ("--learning_rate=1", "Unknown command line flag 'learning_rate'"),
        ("bn", "unexpected argument 'bn': flags look like --norm=bn"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(
    arguments, message, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    for module in (experiment, study):
        monkeypatch.setattr(module, "run", lambda *a, **k: pytest.fail("started"))
    assert command(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"bnkit: {message}") and shown.err.count("\n") == 1


def test_help_loads_nothing_heavy():
    code = "import sys; from bnkit import main; main.main(['bnkit', '--help']); print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "bnkit.main" in loaded
    assert not loaded & {"tensorflow", "keras", "numpy", "pandas", "matplotlib"}


def test_a_rate_that_is_found_is_that_of_every_run(workplace, monkeypatch, capsys):
    def find(grid, study_dir, *, jobs, **options):
        assert study_dir == pathlib.Path("runs", "main-range") and jobs == 2
        assert [settings.lr for settings in grid] == [1e-6, 1e-6]
        found = [dataclasses.replace(settings, lr=2e-6) for settings in grid]
        return found, pd.DataFrame({"norm": ["none"], "best": [3e-6], "lr": [2e-6]})

    def run(grid, study_dir, **options):
        assert [settings.lr for settings in grid] == [2e-6, 2e-6]
        return [study.Outcome(settings, "to do") for settings in grid]

    monkeypatch.setattr(range_test, "find", find)
    monkeypatch.setattr(study, "run", run)
    assert command(f"{LINEAR} --lr=auto --seed=0,1 --jobs=2") == 130
    assert capsys.readouterr().out.splitlines()[:2] == ["norm  best    lr", "none 3e-06 2e-06"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("lr", "auto", "a number: no arm trains"), 2),
        (RunFailed("none-lr1 failed: no such thing"), 1),
        (KeyboardInterrupt, 130),
    ],
)
def test_without_a_rate_there_is_no_run(error, code, workplace, monkeypatch, capsys):
    def find(*arguments, **options):
        raise error

    monkeypatch.setattr(range_test, "find", find)
    monkeypatch.setattr(study, "run", lambda *a, **k: pytest.fail("started"))
    assert command(f"{LINEAR} --lr=auto --seed=0,1") == code
    told = capsys.readouterr().err
    assert told.startswith("bnkit: ") and told.count("\n") == 1


def test_the_whole_job_from_command_to_report(workplace, capsys):
    assert command(f"--norm=bn --lr=0.05 {TINY}") == 0
    (run,) = (workplace / "runs" / "main").iterdir()
    for name in ("settings.json", "status.json", "metrics.jsonl", "checkpoints"):
        assert (run / name).exists(), name
    assert list(run.glob("events.out.tfevents.*"))
    folder = pathlib.Path("reports", "main", run.name)
    page = (folder / "index.html").read_text()
    assert run.name in page and "--norm=bn --lr=0.05" in page
    names = {"accuracy", "loss", "loss_band", "gradient_predictiveness", "smoothness",
             "distance_over_step_size", "ics", "activation_ridges", "activation_drift",
             "signal_propagation", "population_gap", "time_spent"}  # fmt: skip
    for kind in ("png", "pdf", "csv"):
        assert {path.stem for path in (folder / "figures").glob(f"*.{kind}")} == names
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{run.name} done: training accuracy")
    assert lines[1].startswith("One run decides no claim") and "--seed=0,1,2" in lines[1]
    assert f": {python_command('-m', 'bnkit.main')} --" in lines[1]
    assert lines[2] == f"report: {folder / 'index.html'}"
    assert lines[3] == f"TensorBoard: {python_command(*TENSORBOARD, 'runs')}"
    frame = bnkit.load_runs("runs", "ics")
    assert len(frame) == 2 * 11 and set(frame["lr"]) == {0.05}


def test_another_process_makes_the_report_of_a_command(workplace, monkeypatch):
    script = workplace / "python"
    script.write_text("#!/bin/sh\nread task; echo $task > told; exit 7\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    arguments = f"{LINEAR} --study=told".split()
    assert main.main(["bnkit", *arguments], is_command=True) == 7
    (run,) = pathlib.Path("runs", "told").iterdir()
    told = json.loads((workplace / "told").read_text())
    report = f"reports/told/{run.name}"
    paths = {"path": str(run), "directory": report, "runs_dir": "runs"}
    assert told == {"name": "report_run", "arguments": paths}
    assert list((workplace / report).iterdir()) == []


def test_what_makes_no_run_starts_no_other_process(workplace, monkeypatch):
    monkeypatch.setattr(main.Reporter, "start", lambda self: pytest.fail("started"))
    for arguments in ("--help", "--dry_run", "--lr=fast", "--dataset=/no/such/folder"):
        assert main.main(["bnkit", arguments], is_command=True) in (0, 2)


def test_a_network_of_the_users_own_from_command_to_report(workplace, capsys):
    """It was made once to be looked at; its layers have the names of a first one nevertheless."""
    own = "--model=users_package.models:small --model_args=units=3 --norm=layer"
    rest = TINY.replace("--width=0.02 ", "")
    assert command(f"{own} {rest} --probes=ics") == 0
    (run,) = (workplace / "runs" / "main").iterdir()
    frame = bnkit.load_runs("runs", "ics")
    assert frame["layer"].tolist() == ["dense", "dense_1"] * 2
    assert set(frame["model_args"]) == {"units=3"}
    assert capsys.readouterr().out.startswith(f"{run.name} done: training accuracy")


def test_the_same_command_again_measures_nothing_and_says_so(workplace, capsys):
    assert command(LINEAR) == 0
    lines = capsys.readouterr().out.splitlines()
    assert command(LINEAR) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == lines
    assert "already measured" in shown.err and "--noresume" in shown.err


def test_data_that_do_not_fit_are_one_line(workplace, capsys):
    assert command(f"{TINY} --batch_size=1000") == 2
    # The run is announced before its data are read.
    announced, shown = capsys.readouterr().err.splitlines()
    assert announced.startswith("bnkit: 6 steps of vgg11") and "batch_size=1000" in shown
    assert not list(workplace.glob("runs/main/*/settings.json"))


@pytest.mark.parametrize("arguments", ["--norm=bn", "--norm=bn,none", "--batch_size=100 --dry_run"])
def test_a_batch_that_gpus_cannot_share_is_one_line_and_leaves_nothing(
    arguments, workplace, capsys, monkeypatch
):
    monkeypatch.setattr(preflight, "_gpu_count", lambda: 3)
    assert command(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "`batch_size` must be a multiple of the 3 replicas. Received" in line
    assert not any(workplace.iterdir())


@pytest.mark.parametrize("flag", ["runs_dir", "reports_dir"])
def test_a_folder_that_cannot_be_made_is_one_line_before_anything_is_trained(
    flag, workplace, capsys, monkeypatch
):
    monkeypatch.setattr(Trainer, "fit", lambda *a: pytest.fail("trained"))
    pathlib.Path("file").write_text("")
    assert command(f"{TINY} --{flag}=file") == 2
    shown = capsys.readouterr().err
    assert "file" in shown and shown.count("\n") == 1


def test_control_c_is_one_line_and_its_own_exit_code(workplace, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", interrupted)
    assert command(TINY) == 130
    announced, shown = capsys.readouterr().err.splitlines()
    assert announced.startswith("bnkit: 6 steps of vgg11") and shown == "bnkit: interrupted"


@pytest.fixture
def in_process(workplace, monkeypatch):
    """Makes the runs of a study in this process; those with learning rate 0.4 fail.

    Returns the arguments of the calls.
    """
    calls = []

    def run(grid, study_dir, **options):
        calls.append(options)
        outcomes = []
        for settings in grid:
            if settings.lr == 0.4:
                outcomes.append(study.Outcome(settings, "failed", "no reason", 1.0))
                continue
            experiment.run(settings, study_dir, command=options["command"], progress=False)
            outcomes.append(study.Outcome(settings, "done", seconds=1.0))
        return outcomes

    monkeypatch.setattr(study, "run", run)
    return calls


def test_a_grid_is_one_study_with_one_report(in_process, workplace, capsys):
    lists = "--model=dln --depth=2 --samples=20 --probes= --steps=4 --norm=none,bn --study=both"
    rest = "--lr=1e-6 --jobs=2 --noresume --data_dir=here --tensorboard_details"
    assert command(f"{lists} {rest}") == 0
    (options,) = in_process
    assert (options["jobs"], options["resume"], options["data_dir"]) == (2, False, "here")
    assert options["tensorboard_details"] is True
    assert options["command"][:4] == ["python", "-m", "bnkit.main", "--model=dln"]
    *runs, images = sorted(path.name for path in (workplace / "runs" / "both").iterdir())
    assert [name.split("-")[0] for name in runs] == ["bn", "none"] and images == "report"
    assert [path.name for path in (workplace / "reports").iterdir()] == ["both"]
    page = pathlib.Path("reports", "both", "index.html")
    assert all(name in page.read_text() for name in runs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["norm", "lr", "seed", "state", "loss", "test_loss", "seconds"]
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["none", "1e-06", "0", "done"],
        ["bn", "1e-06", "0", "done"],
    ]
    assert lines[3].startswith("claims: ")
    assert lines[-2] == f"report: {page}"
    assert lines[-1] == f"TensorBoard: {python_command(*TENSORBOARD, 'runs/both')}"


def test_a_study_of_which_runs_fail_is_reported_and_exits_with_1(in_process, capsys):
    lists = "--model=dln --depth=2 --samples=20 --probes= --steps=4 --norm=none --study=some"
    assert command(f"{lists} --lr=1e-6,0.4") == 1
    assert pathlib.Path("reports", "some", "index.html").exists()
    assert (
        capsys.readouterr().out.splitlines()[2].split()
        == ["none", "0.4", "0", "failed"] + ["-"] * 3
    )
    assert command(f"{lists} --lr=0.4 --seed=0,1 --study=none_at_all") == 1
    assert capsys.readouterr().err.endswith("measured anything: no report\n")


@pytest.mark.parametrize(("jobs", "at_a_time"), [("", sys.maxsize), ("--jobs=1", 1)])
def test_on_a_cluster_even_one_run_is_a_study(in_process, capsys, monkeypatch, jobs, at_a_time):
    opened = []

    @contextlib.contextmanager
    def connect(*arguments, **options):
        opened.append((arguments, options))
        yield "the launcher"

    monkeypatch.setattr(ray_launcher, "opened", connect)
    assert (
        command(f"{LINEAR} --lr=1e-6 --launcher=ray --ray_address=a:1 --gpus_per_run=2 {jobs}") == 0
    )
    (options,) = in_process
    assert (options["launcher"], options["jobs"]) == ("the launcher", at_a_time)
    assert opened == [(("a:1",), {"cpus": 1, "gpus": 2})]
    assert pathlib.Path("reports", "main", "index.html").exists()


def test_a_dry_run_for_a_cluster_says_how_many_are_made_at_a_time(workplace, capsys):
    for flags, said in (
        ("", "as many as there is room for at a time"),
        ("--jobs=3", "3 at a time"),
    ):
        assert command(f"{LINEAR} --lr=1e-6 --dry_run --launcher=ray {flags}") == 0
        assert capsys.readouterr().out.endswith(f"1 of 1 runs to make, {said}\n")


def test_an_interrupted_study_says_how_to_go_on(workplace, capsys, monkeypatch):
    def run(grid, *arguments, **options):
        return [study.Outcome(s, state) for s, state in zip(grid, states, strict=True)]

    monkeypatch.setattr(study, "run", run)
    for states in (["interrupted", "to do"], ["done", "interrupted"], ["failed", "to do"]):
        assert command("--norm=none,bn") == 130
        shown = capsys.readouterr()
        assert shown.err == "bnkit: interrupted; the same command goes on from there\n"
        assert all(state in shown.out for state in states)
    assert not list(workplace.glob("reports/main/index.html"))


def test_a_dry_run_lists_the_runs_and_makes_none(workplace, capsys, monkeypatch):
    for module, name in ((experiment, "run"), (study, "run"), (timing, "estimate")):
        monkeypatch.setattr(module, name, lambda *a, **k: pytest.fail("started"))
    first, *_ = settings_of("--norm=none,bn", "--seed=0,1")
    end(workplace / "runs" / "main", first, "done")
    before = sorted(workplace.rglob("*"))
    assert command("--norm=none,bn --seed=0,1 --jobs=2 --dry_run") == 0
    assert sorted(workplace.rglob("*")) == before
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["norm", "lr", "seed", "state"]
    assert rows[1:3] == [["none", "0.1", "0", "done"], ["bn", "0.1", "0", "to", "do"]]
    assert " ".join(rows[5]).startswith("3 of 4 runs to make, 2 at a time; --estimate says how")
    (workplace / "runs" / "main" / first.run_id / "status.json").write_text("[]")
    assert command("--norm=none,bn --seed=0,1 --dry_run") == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split() == ["none", "0.1", "0", "damaged"]
    assert shown.err.count("status.json is damaged") == 1


def test_an_estimate_lists_the_runs_and_times_what_is_left(workplace, capsys, monkeypatch):
    for module in (experiment, study):
        monkeypatch.setattr(module, "run", lambda *a, **k: pytest.fail("started"))
    asked = {}

    def estimate(states, study_dir, *, jobs, data_dir, input):
        asked.update(states)
        return dict.fromkeys(states, timing.Estimate(90.0, 1_234, 2e9, 3e10, 4 * 10**8, 0.25))

    monkeypatch.setattr(timing, "estimate", estimate)
    first, *others = settings_of("--norm=none,bn", "--seed=0,1")
    end(workplace / "runs" / "main", first, "done")
    before = sorted(workplace.rglob("*"))
    assert command("--norm=none,bn --seed=0,1 --jobs=2 --estimate") == 0
    assert asked == dict.fromkeys(others, "to do")
    assert sorted(workplace.rglob("*")) == before
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["none", "0.1", "0", "done", *"------"]
    measured = ["1,234", "2", "30", "0.40", "25", "%"]
    assert rows[2] == ["bn", "0.1", "0", "to", "do", "1", "min", "30", "s", *measured]
    assert " ".join(rows[5]) == (
        "3 of 4 runs to make, 2 at a time: about 3 min 0 s, 25 % of it for the probes; "
        "0.8 GB of memory at a time"
    )
    (workplace / "runs" / "main" / first.run_id / "status.json").write_text("[]")
    assert command("--norm=none,bn --seed=0,1 --estimate") == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split() == ["none", "0.1", "0", "damaged", *"------"]
    assert "3 of 4 runs" in shown.out and shown.err.count("status.json is damaged") == 1
    monkeypatch.setattr(timing, "estimate", lambda states, *a, **k: dict.fromkeys(states))
    assert command("--lr=0.2 --estimate") == 1
    assert "cannot run" in capsys.readouterr().out
