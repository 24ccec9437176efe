import dataclasses
import functools
import pathlib
import subprocess
import sys

import pytest

import bnkit
from bnkit import data, experiment, main, study
from bnkit.settings import Settings
from bnkit.store import RunDir
from bnkit.study import timing
from bnkit.training import Trainer

TINY = "--width=0.02 --batch_size=16 --steps=6 --probe_every=4 --eval_every=4 --step_sizes=0.1,0.2"


def command(arguments):
    return main.main(["bnkit", *arguments.split()])


def settings_of(*arguments):
    """The settings of all runs that the arguments ask for."""
    return main.parse(["bnkit", *arguments])[1]


def test_the_defaults_are_those_of_settings():
    assert settings_of() == [Settings()]


@pytest.mark.parametrize(
    "flags",
    [None, {"model": "dln", "depth": 3, "norm_last": True, "samples": 20, "directions": 4}],
)
def test_every_setting_has_a_flag_and_reaches_the_settings(flags):
    of_vgg = {
        "norm": "none", "lr": 0.5, "seed": 3, "model": "vgg16", "width": 0.5, "dataset": "mnist",
        "batch_size": 64, "steps": 10, "optimizer": "adam", "weight_decay": 1e-4,
        "activation": "elu", "momentum": 0.0, "probes": ("ics",), "probe_every": 5,
        "step_sizes": (0.1, 0.2), "eval_every": 7, "sync_norm": True, "precision": "bfloat16",
        "strategy": "cpu",
    }  # fmt: skip
    of_linear = {"depth", "norm_last", "samples", "directions"}
    assert set(of_vgg) | of_linear == {field.name for field in dataclasses.fields(Settings)}
    flags = flags or of_vgg
    texts = [
        f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in flags.items()
    ]
    assert settings_of(*texts) == [Settings(**flags)]
    assert settings_of("--sync_norm", "--probes=") == [Settings(sync_norm=True, probes=())]


def test_lists_make_a_grid():
    grid = settings_of("--norm=none,bn", "--lr=0.1, 0.5", "--seed=0,1", "--steps=9")
    assert [(s.seed, s.norm, s.lr, s.steps) for s in grid] == [
        (seed, norm, lr, 9) for seed in (0, 1) for norm in ("none", "bn") for lr in (0.1, 0.5)
    ]
    assert settings_of("--model=vgg16,dln") == [Settings(model="vgg16"), Settings(model="dln")]
    assert settings_of("--width=0.5,1", "--batch_size=32,64") == [
        Settings(width=width, batch_size=size) for width in (0.5, 1.0) for size in (32, 64)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--lr=fast", "flag --lr=fast: must be a number"),
        ("--lr=-1", "flag --lr=-1.0: must be a finite number > 0"),
        ("--lr=nan", "flag --lr=nan: must be a finite number > 0"),
        ("--lr", "Missing value for flag --lr"),
        ("--norm=bnn", "flag --norm=bnn: must be one of none, bn, "),
        ("--activation=tanh", "flag --activation=tanh: must be one of relu, elu, selu"),
        ("--seed=0.5", "flag --seed=0.5: must be a whole number"),
        ("--model=resnet", "flag --model=resnet: must be one of vgg11, vgg16, dln"),
        ("--depth=3", "flag --depth=3: must be chosen with model=dln only"),
        ("--norm_last", "flag --norm_last=true: must be chosen with model=dln only"),
        ("--samples=3", "flag --samples=3: must be chosen with model=dln only"),
        ("--directions=0", "flag --directions=0: must be a whole number >= 1"),
        ("--model=dln --dataset=mnist", "flag --dataset=mnist: must be gaussian with model=dln"),
        ("--width=0", "flag --width=0.0: must be a finite number > 0"),
        ("--batch_size=0", "flag --batch_size=0: must be a whole number >= 1"),
        ("--steps=many", "flag --steps=many: must be a whole number"),
        ("--optimizer=lion", "flag --optimizer=lion: must be one of sgd, adam"),
        ("--momentum=1", "flag --momentum=1.0: must be a number in [0, 1)"),
        ("--momentum=0.9 --optimizer=adam", "flag --momentum=0.9: must be 0 with optimizer=adam"),
        ("--weight_decay=-1", "flag --weight_decay=-1.0: must be a finite number >= 0"),
        ("--probes=ics,sharpness", "flag --probes=ics,sharpness: must be a list out of"),
        ("--probe_every=0", "flag --probe_every=0: must be a whole number >= 1"),
        ("--eval_every=-5", "flag --eval_every=-5: must be a whole number >= 1"),
        ("--step_sizes=0.1,a", "flag --step_sizes=0.1,a: must be a comma-separated list of num"),
        ("--step_sizes=0.2,0.1", "flag --step_sizes=0.2,0.1: must be a rising list"),
        ("--sync_norm=maybe", "flag --sync_norm=maybe: must be true or false"),
        ("--lr=0.1,fast", "flag --lr=0.1,fast: must be a number, or several with commas between"),
        ("--lr=0.1,", "flag --lr=0.1,: must be a number, or several with commas between them"),
        ("--lr=", "flag --lr=: must be a number"),
        ("--lr=0.1,-2", "flag --lr=-2.0: must be a finite number > 0"),
        ("--lr=0.1,0.5,0.10", "flag --lr=0.1,0.5,0.1: must be a list of different values"),
        ("--seed=0,1.5", "flag --seed=0,1.5: must be a whole number, or several with commas"),
        ("--norm=bn,batch", "flag --norm=batch: must be one of none, bn, "),
        ("--norm=bn,", "flag --norm=: must be one of none, bn, "),
        ("--norm=bn,no_such_module:Norm", "`norm` cannot be imported: ModuleNotFoundError"),
        ("--model=vgg11,vgg12", "flag --model=vgg12: must be one of vgg11, vgg16, dln"),
        ("--model=vgg11,dln --depth=3", "flag --depth=3: must be chosen with model=dln only"),
        ("--jobs=0", "flag --jobs=0: must be a whole number >= 1"),
        ("--jobs=1.5", "flag --jobs=1.5: must be a whole number"),
        ("--resume=perhaps", "flag --resume=perhaps: must be true or false"),
        ("--precision=int8", "flag --precision=int8: must be one of float32, bfloat16"),
        ("--strategy=tpu", "flag --strategy=tpu: must be one of auto, cpu"),
        ("--dataset=", "flag --dataset=: must be glyphs or the name of a TFDS image"),
        ("--study=..", "flag --study=..: must be the name of a folder"),
        ("--study=a/b", "flag --study=a/b: must be the name of a folder"),
        ("--learning_rate=1", "Unknown command line flag 'learning_rate'"),
        ("--flagfile=missing.flags", "Unable to open flagfile"),
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


def test_help_has_every_flag_once_with_its_default(capsys):
    assert command("--help") == 0
    shown = capsys.readouterr().out
    others = ["study", "resume", "jobs", "dry_run"]
    for name in [*(field.name for field in dataclasses.fields(Settings)), *others]:
        assert shown.count(f"\n  --{name} ") == 1, name
    assert "[0.25; dln: 10.0]" in shown and "[landscape,ics,activations]" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert shown.count("\n  --") <= 35
    assert shown.count("or a list") == len(study.AXES)


def test_help_loads_nothing_heavy():
    code = "import sys; from bnkit import main; main.main(['bnkit', '--help']); print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "bnkit.main" in loaded
    assert not loaded & {"tensorflow", "keras", "numpy", "pandas", "matplotlib"}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty working directory, few glyphs, and the whole command at hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path / "cache"))
    few = functools.partial(data.load_glyphs, train_size=128, test_size=40)
    monkeypatch.setattr(data, "load_glyphs", few)
    return tmp_path


def test_the_whole_job_from_command_to_report(workplace, capsys):
    assert command(f"--norm=bn --lr=0.05 {TINY}") == 0
    (run,) = (workplace / "runs" / "main").iterdir()
    for name in ("settings.json", "status.json", "metrics.jsonl", "checkpoints", "tensorboard"):
        assert (run / name).exists(), name
    report = pathlib.Path("reports", "main", run.name)
    page = (report / "index.html").read_text()
    assert run.name in page and "--norm=bn --lr=0.05" in page
    names = {"accuracy", "loss", "loss_band", "gradient_predictiveness", "smoothness",
             "distance_over_step_size", "covariate_shift", "activation_ridges", "activation_drift",
             "signal_propagation", "population_gap", "time_spent"}  # fmt: skip
    for kind in ("png", "pdf", "csv"):
        assert {path.stem for path in (report / "figures").glob(f"*.{kind}")} == names
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{run.name} done: training accuracy")
    assert lines[1] == f"report: {report / 'index.html'}"
    assert lines[2] == "TensorBoard: tensorboard --logdir runs"
    frame = bnkit.load_runs("runs", "ics")
    assert len(frame) == 2 * 11 and set(frame["lr"]) == {0.05}


def test_the_same_command_again_measures_nothing_and_says_so(workplace, capsys):
    linear = "--model=dln --depth=2 --samples=20 --steps=4 --probes= --norm=none"
    assert command(linear) == 0
    lines = capsys.readouterr().out.splitlines()
    assert command(linear) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == lines
    assert "already measured" in shown.err and "--noresume" in shown.err


def test_flags_can_come_from_a_file(workplace):
    pathlib.Path("some.flags").write_text("# a comment\n--norm=none\n--lr=0.25\n")
    assert settings_of("--flagfile=some.flags", "--seed=2,3", "--lr=0.5") == [
        Settings(norm="none", lr=0.5, seed=seed) for seed in (2, 3)
    ]


def test_data_that_do_not_fit_are_one_line(workplace, capsys):
    assert command(f"{TINY} --batch_size=1000") == 2
    shown = capsys.readouterr().err
    assert "batch_size=1000" in shown and shown.count("\n") == 1
    assert not list(workplace.glob("runs/main/*/settings.json"))


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
    assert capsys.readouterr().err == "bnkit: interrupted\n"


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
    assert command(f"{lists} --lr=1e-6 --jobs=2 --noresume --data_dir=here") == 0
    (options,) = in_process
    assert (options["jobs"], options["resume"], options["data_dir"]) == (2, False, "here")
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
    assert lines[-1] == f"TensorBoard: tensorboard --logdir {pathlib.Path('runs', 'both')}"


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


def test_a_dry_run_lists_the_runs_and_estimates_what_is_left(workplace, capsys, monkeypatch):
    for module in (experiment, study):
        monkeypatch.setattr(module, "run", lambda *a, **k: pytest.fail("started"))
    asked = {}

    def estimate(states, study_dir, *, jobs, data_dir):
        asked.update(states)
        return dict.fromkeys(states, 90.0)

    monkeypatch.setattr(timing, "estimate", estimate)
    first, *others = settings_of("--norm=none,bn", "--seed=0,1")
    with RunDir(workplace / "runs" / "main" / first.run_id) as run:
        run.start({})
        run.set_status("done")
    before = sorted(workplace.rglob("*"))
    assert command("--norm=none,bn --seed=0,1 --jobs=2 --dry_run") == 0
    assert asked == dict.fromkeys(others, "to do")
    assert sorted(workplace.rglob("*")) == before
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["none", "0.1", "0", "done", "-"]
    assert rows[2] == ["bn", "0.1", "0", "to", "do", "0:01:30"]
    assert " ".join(rows[5]) == "3 of 4 runs to make, 2 at a time: about 0:03:00"
    monkeypatch.setattr(timing, "estimate", lambda states, *a, **k: dict.fromkeys(states))
    assert command("--dry_run") == 1
    assert "cannot run" in capsys.readouterr().out


FLAG_FILES = sorted((pathlib.Path(bnkit.__file__).parents[1] / "flags").glob("*.flags"))


def test_the_flag_files_are_there():
    names = {path.stem for path in FLAG_FILES}
    figures = {f"fig{number}" for number in range(1, 14)} | {"fig3_dln", "fig5_dln"}
    others = {"demo", "quick", "paper", "course", "norms", "learning_rates", "smoothness_map"}
    assert names == figures | others


@pytest.mark.parametrize("path", FLAG_FILES, ids=lambda path: path.stem)
def test_a_flag_file_is_valid_and_says_what_it_is_for(path):
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for entry in ("Claim:", "Command:", "Time:", "Outcome:"):
        assert sum(line.startswith(f"# {entry} ") for line in header) == 1, entry
    (asked,) = (line for line in header if line.startswith("# Command:"))
    assert asked.split() == ["#", "Command:", "python", "-m", "bnkit.main", asked.split()[-1]]
    assert asked.split()[-1] == f"--flagfile=flags/{path.name}"
    (time,) = (line for line in header if line.startswith("# Time:"))
    assert "on two cores" in time
    assert max(map(len, path.read_text().splitlines())) <= 100
    values, grid = main.parse(["bnkit", f"--flagfile={path}"])
    assert grid
    if path.stem != "demo":
        assert values.study == path.stem and len(grid) > 1
        # What is compared is measured on one grid of step sizes.
        for model in {settings.model for settings in grid}:
            assert len({s.step_sizes for s in grid if s.model == model}) == 1
