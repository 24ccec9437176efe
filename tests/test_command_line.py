"""The flags: what they are read as, what is wrong with them, and how `--help` shows them."""

import dataclasses
import pathlib

import pytest

import bnkit
from bnkit import families, study
from bnkit.command_line import FlagError, help_text, parse
from bnkit.kinds import KINDS, PROBES
from bnkit.settings import Settings


def settings_of(*arguments):
    """The settings of all runs that the arguments ask for."""
    return parse(["bnkit", *arguments])[1]


def test_the_defaults_are_those_of_settings():
    assert settings_of() == [Settings()]


@pytest.mark.parametrize(
    "flags",
    [
        None,
        {"model": "dln", "depth": 3, "norm_last": True, "samples": 20, "directions": 4},
        {"model": "resnet20", "skip": False, "norm_place": "pre"},
        {"model": "my.module:network", "model_args": "mode='fast',size=3"},
        {"model": "mlp", "dataset": "./images", "image_size": 20},
    ],
)
def test_every_setting_has_a_flag_and_reaches_the_settings(flags):
    of_vgg = {
        "norm": "none", "lr": 0.5, "seed": 3, "model": "vgg16", "width": 0.5, "dataset": "mnist",
        "batch_size": 64, "steps": 10, "optimizer": "adam", "weight_decay": 1e-4,
        "activation": "elu", "momentum": 0.0, "probes": ("ics",), "probe_every": 5,
        "step_sizes": (0.1, 0.2), "eval_every": 7, "sync_norm": True, "precision": "bfloat16",
        "probe_precision": "float32", "jit": "off",
        "strategy": "cpu", "train_split": "train[:9%]", "test_split": "train[9%:]",
        "optimizer_args": "beta_1=0.5", "schedule": "cosine", "warmup": 3, "clip_norm": 2.0,
        "augment": ("crop", "flip"), "label_smoothing": 0.1, "probe_steps": (0, 1, 7),
    }  # fmt: skip
    of_others = {"depth", "norm_last", "samples", "directions", "skip", "norm_place"}
    of_others |= {"model_args", "image_size"}
    assert set(of_vgg) | of_others == {field.name for field in dataclasses.fields(Settings)}
    flags = flags or of_vgg
    texts = [
        f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in flags.items()
    ]
    assert settings_of(*texts) == [Settings(**flags)]
    assert settings_of("--model=resnet56", "--noskip") == [Settings(model="resnet56", skip=False)]
    assert settings_of("--model=vgg11,my.module:network") == [
        Settings(),
        Settings(model="my.module:network"),
    ]
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
        ("--model=resnet", "flag --model=resnet: must be one of vgg11, vgg13, "),
        ("--model_args=a=1", "flag --model_args=a=1: must be chosen with model=package.module:fun"),
        ("--model=a:b --model_args=a", "flag --model_args=a: must be key=value,... with Python li"),
        ("--model=a:b --width=1", "flag --width=1.0: must be chosen with model=vgg11, vgg13, "),
        ("--depth=3", "flag --depth=3: must be chosen with model=mlp, dln only"),
        ("--norm_last", "flag --norm_last=true: must be chosen with model=dln only"),
        ("--samples=3", "flag --samples=3: must be chosen with model=dln only"),
        ("--noskip", "flag --skip=false: must be chosen with model=resnet20, resnet32, resnet56"),
        ("--model=resnet20 --norm_place=mid", "flag --norm_place=mid: must be one of post, pre"),
        ("--directions=0", "flag --directions=0: must be a whole number >= 1"),
        ("--model=dln --dataset=mnist", "flag --dataset=mnist: must be gaussian with model=dln"),
        ("--width=0", "flag --width=0.0: must be a finite number > 0"),
        ("--batch_size=0", "flag --batch_size=0: must be a whole number >= 1"),
        ("--steps=many", "flag --steps=many: must be a whole number"),
        ("--epochs=0", "flag --epochs=0: must be a whole number >= 1"),
        ("--epochs=2 --steps=9", "flag --epochs=2: must be left out where --steps is given"),
        ("--optimizer=magic", "flag --optimizer=magic: must be one of sgd, adam"),
        ("--momentum=1", "flag --momentum=1.0: must be a number in [0, 1)"),
        ("--momentum=0.9 --optimizer=adam", "flag --momentum=0.9: must be 0 with optimizer=adam"),
        ("--weight_decay=-1", "flag --weight_decay=-1.0: must be a finite number >= 0"),
        ("--probes=ics,sharpness", "flag --probes=ics,sharpness: must be a list out of"),
        ("--probe_every=0", "flag --probe_every=0: must be a whole number >= 1"),
        ("--eval_every=-5", "flag --eval_every=-5: must be a whole number >= 1"),
        ("--step_sizes=0.1,a", "flag --step_sizes=0.1,a: must be a comma-separated list of num"),
        ("--step_sizes=0.2,0.1", "flag --step_sizes=0.2,0.1: must be a rising list"),
        ("--sync_norm=maybe", "flag --sync_norm=maybe: must be true or false"),
        ("--lr=0.1,fast", "flag --lr=0.1,fast: must be a number, several with commas between them"),
        (
            "--lr=0.1,",
            "flag --lr=0.1,: must be a number, several with commas between them, or auto",
        ),
        ("--lr=", "flag --lr=: must be a number"),
        ("--lr=0.1,auto", "flag --lr=0.1,auto: must be a number, several with commas between"),
        ("--lr=auto --dry_run", "flag --lr=auto: must be a number with --dry_run and --estimate"),
        ("--lr=auto --launcher=ray", "flag --lr=auto: must be a number with --launcher=ray"),
        ("--lr=auto --schedule=range", "flag --lr=auto: must be a number with --schedule=range"),
        ("--lr=0.1,-2", "flag --lr=-2.0: must be a finite number > 0"),
        ("--lr=0.1,0.5,0.10", "flag --lr=0.1,0.5,0.1: must be a list of different values"),
        ("--seed=0,1.5", "flag --seed=0,1.5: must be a whole number, or several with commas"),
        ("--norm=bn,batch", "flag --norm=batch: must be one of none, bn, "),
        ("--norm=bn,", "flag --norm=: must be one of none, bn, "),
        ("--model=vgg11,vgg12", "flag --model=vgg12: must be one of vgg11, vgg13, "),
        ("--model=vgg11,dln --depth=3", "flag --depth=3: must be chosen with model=mlp, dln only"),
        ("--jobs=0", "flag --jobs=0: must be auto, or a whole number >= 1"),
        ("--jobs=1.5", "flag --jobs=1.5: must be auto, or a whole number >= 1"),
        ("--input=disk", "flag --input=disk: must be one of auto, decoded, streamed"),
        ("--launcher=sge", "flag --launcher=sge: must be one of local, ray, slurm"),
        ("--cpus_per_run=0", "flag --cpus_per_run=0: must be a whole number >= 1"),
        ("--launcher=ray --gpus_per_run=-1", "flag --gpus_per_run=-1: must be a whole number >= 0"),
        ("--gpus_per_run=1", "flag --gpus_per_run=1: must be left out with --launcher=local"),
        ("--ray_address=a:1 --launcher=slurm", "flag --ray_address=a:1: must be left out with"),
        ("--estimate --launcher=ray", "flag --estimate=true: must be left out with --launcher=ray"),
        ("--noresume --launcher=slurm", "flag --resume=false: must be true with --launcher=slurm"),
        ("--resume=perhaps", "flag --resume=perhaps: must be true or false"),
        ("--precision=int8", "flag --precision=int8: must be one of float32, bfloat16"),
        ("--strategy=tpu", "flag --strategy=tpu: must be one of auto, cpu"),
        ("--dataset=", "flag --dataset=: must be glyphs, the name of a TFDS image"),
        ("--study=..", "flag --study=..: must be the name of a folder"),
        ("--study=a/b", "flag --study=a/b: must be the name of a folder"),
        ("--lr=1e39", "flag --lr=1e+39: must be a finite number > 0 that float32 can hold"),
        ("--lr=1e-300", "flag --lr=1e-300: must be a finite number > 0 that float32 can hold"),
        ("--weight_decay=1e39", "flag --weight_decay=1e+39: must be a finite number >= 0"),
        ("--width=1e39", "flag --width=1e+39: must be a finite number > 0 that float32"),
        ("--step_sizes=0.1,1e300", "flag --step_sizes=0.1,1e+300: must be a rising list"),
        ("--momentum=0.99999999999", "flag --momentum=0.99999999999: must be a number in [0, 1)"),
        ("--steps=9223372036854775808", "flag --steps=9223372036854775808: must be a whole num"),
        (
            "--model=dln --samples=1000000000000000",
            "flag --samples=1000000000000000: must be small",
        ),
        ("--width=1e6", "flag --width=1000000.0: must be smaller: it takes at least"),
        ("--model=dln --width=1e9", "flag --width=1000000000.0: must be smaller: it takes at"),
        ("--batch_size=1000000000000000", "flag --batch_size=1000000000000000: must be smaller"),
        ("--noresume=1", "--noresume=1 does not take an argument"),
        ("--study=a\x07b", r"flag --study=a\x07b: must be the name of a folder"),
        ("--study=" + "a" * 256, "flag --study=aaaa"),
        ("--runs_dir=a\0b", r"argument '--runs_dir=a\x00b': must be text without zero bytes"),
        ("--runs_dir=\udcff", r"argument '--runs_dir=\udcff': must be text (UTF-8)"),
        ("--lr", "Missing value for flag --lr"),
        ("--learning_rate=1", "Unknown command line flag 'learning_rate'"),
        ("--flagfile=missing.flags", "flag --flagfile=missing.flags: cannot be read: "),
        ("bn", "unexpected argument 'bn': flags look like --norm=bn"),
    ],
)
def test_a_wrong_flag_is_one_line_that_names_it_and_what_is_valid(
    arguments, message, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FlagError) as caught:
        parse(["bnkit", *arguments.split()])
    text = str(caught.value)
    assert text.startswith(message) and "\n" not in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "argument",
    [
        *("--lr=" + "9" * 5000, "--lr=" + "x" * 5000, "--norm=" + "b " * 5000, "x" * 5000),
        *(
            "--" + "x" * 5000,
            "--seed=" + "9" * 4000,
            "--seed=" + "9" * 5000,
            "--study=" + "s" * 5000,
        ),
        *(
            "--runs_dir=\udcff" + "x" * 5000,
            "--step_sizes=" + "2,1," * 2000,
            "--flagfile=" + "f" * 5000,
        ),
        "--noresume=" + "1" * 5000,
    ],
    ids=lambda argument: argument[:12].encode("ascii", "replace").decode(),
)
def test_a_long_value_is_cut_in_the_message(argument):
    with pytest.raises(FlagError) as caught:
        parse(["bnkit", argument])
    text = str(caught.value)
    assert len(text) <= 500 and text.isprintable()
    assert argument.partition("=")[0][:20] in text


def test_a_grid_of_too_many_runs_is_refused_before_it_is_made():
    many = ",".join(map(str, range(1, 1001)))
    with pytest.raises(
        FlagError, match=r"^flag --seed=1,2,.*,1000: must be shorter: .* 100,000 runs"
    ):
        parse(["bnkit", f"--seed={many}", f"--batch_size={many}", f"--width={many}"])
    assert len(settings_of(f"--seed={many}", "--norm=none,bn")) == 2000


def test_help_has_every_flag_once_with_its_default():
    shown = help_text()
    others = ["study", "resume", "input", "jobs", "dry_run", "estimate", "flagfile", "help"]
    others += ["launcher", "cpus_per_run", "gpus_per_run", "ray_address"]
    for name in [*(field.name for field in dataclasses.fields(Settings)), *others]:
        assert shown.count(f"\n  --{name} ") == 1, name
    # A line may end anywhere in it.
    flat = " ".join(shown.split())
    assert "[0.25; resnet20, resnet32, resnet56, vit_tiny: 0.5; dln: 10.0]" in flat
    assert "[landscape,ics,activations]" in shown
    assert "[mlp: 5; dln: 25]" in shown and "network; or a list [vgg11]" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert shown.count("\n  --") <= 56
    assert flat.count("or a list") == len(study.AXES)


@pytest.mark.parametrize(
    "choices",
    [
        {probe: KINDS[probe].summary for probe in PROBES},
        {name: entry.summary for name, entry in families.MODELS.items()},
    ],
    ids=["probes", "models"],
)
def test_help_has_a_line_for_every_choice(choices):
    lines = [line.strip() for line in help_text().splitlines()]
    for name, summary in choices.items():
        assert [line for line in lines if line.split() == [name, *summary.split()]], name


def test_values_come_with_the_settings():
    values, grid = parse(["bnkit", "--norm=none", "--jobs=3", "--study=mine", "--noresume"])
    assert grid == [Settings(norm="none")]
    assert (values.jobs, values.study, values.resume, values.dry_run) == (3, "mine", False, False)
    assert (values.runs_dir, values.reports_dir, values.data_dir) == ("runs", "reports", "")
    assert not values.help and parse(["bnkit", "--help"])[0].help


def test_flags_can_come_from_a_file(tmp_path):
    path = tmp_path / "some.flags"
    path.write_text("# a comment\n--norm=none\n--lr=0.25\n")
    assert settings_of(f"--flagfile={path}", "--seed=2,3", "--lr=0.5") == [
        Settings(norm="none", lr=0.5, seed=seed) for seed in (2, 3)
    ]


FLAG_FILES = sorted((pathlib.Path(bnkit.__file__).parents[1] / "flags").glob("*.flags"))


def test_the_flag_files_are_there():
    names = {path.stem for path in FLAG_FILES}
    figures = {f"fig{number}" for number in range(1, 14)} | {"fig3_dln", "fig5_dln"}
    others = {"demo", "demo_study", "quick", "paper", "course", "norms", "learning_rates"}
    others |= {"smoothness_map"}
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
    values, grid = parse(["bnkit", f"--flagfile={path}"])
    assert grid
    if path.stem != "demo":
        assert values.study == path.stem and len(grid) > 1
        # What is compared is measured on one grid of step sizes.
        for model in {settings.model for settings in grid}:
            assert len({s.step_sizes for s in grid if s.model == model}) == 1


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        (["--lr=0.1,0.5", "--seed=0,1,2"], "a grid of 6 runs"),
        (["--lr=auto"], "--lr=auto"),
        (["--estimate"], "--estimate"),
    ],
)
def test_a_cluster_makes_one_run_at_a_time(flags, asked):
    assert settings_of("--strategy=multiworker", "--dry_run")[0].strategy == "multiworker"
    with pytest.raises(FlagError, match=f"=multiworker: must be auto or cpu with {asked}"):
        parse(["bnkit", "--strategy=multiworker", *flags])
