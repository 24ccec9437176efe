import dataclasses
import functools
import pathlib
import subprocess
import sys

import pytest

import bnkit
from bnkit import data, experiment, main
from bnkit.settings import Settings
from bnkit.training import Trainer

TINY = "--width=0.02 --batch_size=16 --steps=6 --probe_every=4 --eval_every=4 --step_sizes=0.1,0.2"


def command(arguments):
    return main.main(["bnkit", *arguments.split()])


def defaults():
    return main.parse(["bnkit"])[1]


def test_the_defaults_are_those_of_settings():
    assert defaults() == Settings()


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
    assert main.parse(["bnkit", *texts])[1] == Settings(**flags)
    assert main.parse(["bnkit", "--sync_norm", "--probes="])[1] == Settings(
        sync_norm=True, probes=()
    )


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
def test_a_wrong_flag_is_one_line_and_exit_code_2(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(experiment, "run", lambda *a, **k: pytest.fail("started"))
    assert command(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"bnkit: {message}") and shown.err.count("\n") == 1


def test_help_has_every_flag_once_with_its_default(capsys):
    assert command("--help") == 0
    shown = capsys.readouterr().out
    for name in [*(field.name for field in dataclasses.fields(Settings)), "study", "resume"]:
        assert shown.count(f"\n  --{name} ") == 1, name
    assert "[0.25; dln: 10.0]" in shown and "[landscape,ics]" in shown
    assert max(map(len, shown.splitlines())) <= 100


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
             "distance_over_step_size", "covariate_shift", "time_spent"}  # fmt: skip
    for kind in ("png", "pdf", "csv"):
        assert {path.stem for path in (report / "figures").glob(f"*.{kind}")} == names
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{run.name} done: training accuracy")
    assert lines[1] == f"report: {report / 'index.html'}"
    assert lines[2] == "TensorBoard: tensorboard --logdir runs"
    frame = bnkit.load_runs("runs", "ics")
    assert len(frame) == 2 * 11 and set(frame["lr"]) == {0.05}

    assert command(f"--norm=bn --lr=0.05 {TINY}") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == lines
    assert "already measured" in shown.err and "--noresume" in shown.err


def test_flags_can_come_from_a_file(workplace):
    pathlib.Path("some.flags").write_text("# a comment\n--norm=none\n--lr=0.25\n")
    assert main.parse(["bnkit", "--flagfile=some.flags", "--seed=2"])[1] == Settings(
        norm="none", lr=0.25, seed=2
    )


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


def test_every_flag_file_is_valid():
    files = sorted((pathlib.Path(bnkit.__file__).parents[1] / "flags").glob("*.flags"))
    assert files
    for path in files:
        text = path.read_text()
        for entry in ("# Claim:", "# Command:", "# Time:", "# Outcome:"):
            assert entry in text, path.name
        assert f"--flagfile=flags/{path.name}" in text
        main.parse(["bnkit", f"--flagfile={path}"])
