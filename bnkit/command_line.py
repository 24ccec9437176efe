"""The flags of the command: text -> values, and the settings of every run that they ask for."""

import dataclasses
import math
import pathlib
import textwrap

from absl import flags

from bnkit import arguments, families, layers, memory, study
from bnkit.flag_parsers import LIST_PARSERS, PARSERS, RATES
from bnkit.kinds import KINDS, PROBES
from bnkit.messages import one_line
from bnkit.rules import AUTO, COUNT, POSITIVE, Rule, is_count, one_of
from bnkit.settings import (
    MULTIWORKER,
    OPTIMIZERS,
    PRECISIONS,
    STRATEGIES,
    Settings,
    SettingsError,
)

_PURPOSE = """\
Trains a network with a normalisation, measures the landscape of its loss on the way, and reports.

usage: python -m bnkit.main --norm=bn --lr=0.5
       python -m bnkit.main --norm=none,bn --lr=0.1,0.5 --seed=0,1,2 --study=fig1 --jobs=2
       python -m bnkit.main --flagfile=quick

Lists make a grid: every combination is one run, and one report compares them all."""

# Runs of one grid: each is a process, and the list of them is held in memory.
_MOST_RUNS = 100_000
# Characters of a value that a message shows.
_SHOWN = 100
LAUNCHERS = ("local", "ray", "slurm")
_WHOLE = Rule(lambda value: is_count(value, 0), "a whole number >= 0")
# Bytes of a file's name, on every common file system.
_LONGEST_NAME = 255

_WIDTH = 96
_INDENT = 20
# Flag -> choice -> what it is. `--help` has a line for each.
_CHOICES = {
    "model": {
        **{name: entry.summary for name, entry in families.MODELS.items()},
        "your own": f"a function at {families.PATH}",
    },
    "probes": {name: KINDS[name].summary for name in PROBES},
    "input": {
        "auto": "streamed if they are more than the data cache may hold (BNKIT_CACHE_GB), "
        "else decoded",
        "decoded": "decoded once, into the data cache",
        "streamed": "decoded whenever they are needed, ahead of the training",
    },
}


def _models(setting):
    return f"with model={', '.join(families.models_with(setting))}"


def _valid(setting):
    rules = [entry.rules[setting] for entry in families.MODELS.values()]
    return "; ".join(dict.fromkeys(rule.valid for rule in rules))


# Group -> flag -> help, in the order of `--help`. Flags that are fields of `Settings` take their
# type and their default from there.
_HELP = {
    "What is compared": {
        "norm": f"normalisation: {', '.join(layers.names())}; or package.module:Class of your own",
        "lr": f"learning rate, the largest of the run; {AUTO} finds one for all arms",
        "seed": "of the initial weights and the order of the batches",
    },
    "Network and data": {
        "model": "network",
        "model_args": f"key=value,... for a function of your own, {_models('model_args')}",
        "width": f"of the layers: {_valid('width')}",
        "depth": f"number of weight layers, {_models('depth')}",
        "norm_last": f"normalise the last layer, too, {_models('norm_last')}",
        "skip": f"have skip connections; --noskip is the plain twin, {_models('skip')}",
        "norm_place": "post normalises what weight layers or branches give, pre what they get, "
        f"{_models('norm_place')}",
        "activation": f"non-linearity: {_valid('activation')}",
        "dataset": f"{_valid('dataset')}; glyphs are rendered here",
        "train_split": "TFDS split expression of the training images, such as train[:90%]; train "
        "if not set",
        "test_split": "TFDS split expression of the test images; the first of test, validation, "
        "val and valid that has labels if not set",
        "image_size": "height and width that images are resized to, in pixels; their own, or 32, "
        "if not set",
        "samples": f"number of gaussian samples, {_models('samples')}",
        "data_dir": "where TFDS keeps its sets; TFDS_DATA_DIR or ~/tensorflow_datasets if not set",
        "input": "how training images are read; the batches are the same",
    },
    "Training": {
        "steps": "number of updates",
        "epochs": "times to go through the training data, in place of --steps",
        "batch_size": "samples per update, over all replicas together; of gaussian samples: all",
        "optimizer": f"Keras's: {', '.join(OPTIMIZERS)}",
        "optimizer_args": "key=value,... for Keras's optimizer, such as beta_1=0.5",
        "momentum": "of sgd",
        "schedule": "of the learning rate: constant; cosine falls to 0 at the end; step falls "
        "to a tenth after 1/2 and 3/4 of the steps; range rises to it from a ten-thousandth",
        "warmup": "steps over which the learning rate rises linearly before that",
        "clip_norm": "largest norm of the gradient of an update; no limit if not set",
        "augment": "what is done to training images: crop shifts them by up to an eighth of their "
        "size, flip mirrors every other one",
        "label_smoothing": "share of each target that is spread over all classes, in the loss that "
        "is trained and measured",
        "weight_decay": "c of the penalty c/2 * sum ||kernel||^2, logged apart from the loss",
        "sync_norm": "batch statistics of the global batch instead of each replica's",
        "precision": f"compute type of the layers: {', '.join(PRECISIONS)}",
        "jit": "whether XLA compiles the training step: auto is on with one GPU, and off on the "
        "CPU, where it makes convolutions slower",
        "strategy": f"{STRATEGIES[0]} mirrors over all GPUs, or uses the CPU; "
        f"{STRATEGIES[1]} leaves GPUs alone; {MULTIWORKER} makes one run on the workers that "
        "TF_CONFIG or SLURM names, each started with the same command",
    },
    "Measuring": {
        "probes": "comma-separated list of what to measure; empty for nothing",
        "probe_every": "steps between two measurements",
        "probe_steps": "comma-separated list of further steps to measure at, such as 1,2,5,10",
        "probe_precision": "what probes compute in: training is that of --precision, float32 "
        "measures the same weights in float32; of bnkit's own models",
        "step_sizes": "rising comma-separated list of s in theta - s g; absolute, the same for "
        "every arm of a comparison",
        "directions": "random directions at each measurement of random_landscape",
        "eval_every": "steps between two evaluations on the test split",
    },
    "Where results go": {
        "study": "name of the folder that collects runs to be compared",
        "runs_dir": "runs are written to RUNS_DIR/STUDY/RUN",
        "reports_dir": "reports are written to REPORTS_DIR/STUDY/RUN; that of a grid to "
        "REPORTS_DIR/STUDY",
        "checkpoint_seconds": "between two checkpoints, at least: what a crash loses at most",
        "tensorboard_details": "write a curve of each layer and each unit to TensorBoard, too",
        "resume": "keep what an earlier run of the same settings measured, and go on from there",
    },
    "Grids": {
        "jobs": "runs of a grid to make at the same time, each with its share of the CPU cores; "
        "auto: by the cores, the memory and the number of runs",
        "launcher": "where the runs are made: local on this machine, ray on a Ray cluster, slurm "
        "as an array job; with ray and slurm as many at the same time as there is room for, or as "
        "--jobs says",
        "cpus_per_run": "cores and threads of each run; if not set, its share of the cores with "
        "launcher=local, otherwise 1",
        "gpus_per_run": "GPUs of each run, with launcher=ray or slurm",
        "ray_address": "HOST:PORT of the Ray cluster; if not set, the one that RAY_ADDRESS names "
        "or that this machine belongs to, or else one of this machine alone",
        "dry_run": "list the runs and their states, and stop",
        "estimate": "as dry_run, with time, arithmetic and memory of each run, from a few steps of "
        "each kind of run",
    },
}
_DEFAULTS = {
    "epochs": None,
    "data_dir": "",
    "input": "auto",
    "study": "main",
    "runs_dir": "runs",
    "reports_dir": "reports",
    "checkpoint_seconds": 30.0,
    "tensorboard_details": False,
    "resume": True,
    "jobs": AUTO,
    "launcher": "local",
    "cpus_per_run": None,
    "gpus_per_run": 0,
    "ray_address": "",
    "dry_run": False,
    "estimate": False,
}


class FlagError(ValueError):
    """A flag that is unknown, cannot be read or is not valid; its text is one line for the user."""

    def __init__(self, text):
        super().__init__(one_line(text, 5 * _SHOWN))


def parse(argv):
    """Reads a command line.

    Returns:
        The values of all flags, as attributes, and a list of `Settings`, one for every run.

    Raises:
        FlagError: For a flag that is unknown, cannot be read or is not valid.
    """
    values = _read(argv)
    try:
        _check(values)
        fields = [field.name for field in dataclasses.fields(Settings)]
        choices = {name: values[name].value for name in fields}
        if choices["lr"] == (AUTO,):
            # The model's own stands for it until it is found.
            choices["lr"] = None
        grid = study.grid(**choices)
        if values.launcher == "local":  # Other machines may have more.
            for settings in grid:
                memory.check(settings)
        _check_cluster(values, grid)
    except SettingsError as error:
        raise FlagError(
            f"flag --{error.field}={_shown(error.value)}: must be {error.valid}"
        ) from error
    return values, grid


def _read(argv):
    """The values of all flags, as they are.

    Raises:
        FlagError: For a flag that is unknown or cannot be read.
    """
    try:
        values = _define_flags()
        rest = values([argv[0], *arguments.expand(argv[1:])])[1:]
    # absl raises a bare ValueError for --noresume=1.
    except (flags.Error, ValueError) as error:
        raise FlagError(str(error).removeprefix("ERROR:: ")) from error
    if rest:
        raise FlagError(f"unexpected argument {rest[0]!r}: flags look like --norm=bn")
    return values


def help_text():
    """All flags by group, with their defaults and choices."""
    values = _define_flags()
    lines = [_PURPOSE]
    for title, group in {**_HELP, "Other": ("flagfile", "help")}.items():
        lines += ["", f"{title}:"]
        for name in group:
            default = _shown_default(name, values[name].default)
            text = f"{values[name].help} [{default}]" if default else values[name].help
            lines += _wrapped(f"  --{name}", text)
            lines += [
                line
                for choice, what in _CHOICES.get(name, {}).items()
                for line in _wrapped(" " * _INDENT + choice, what, 2 * _INDENT)
            ]
    return "\n".join(lines)


def _define_flags():
    """A fresh `FlagValues` with all flags of the command."""
    values = flags.FlagValues()
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    for group in _HELP.values():
        for name, text in group.items():
            field = fields.get(name)
            default = field.default if field else _DEFAULTS[name]
            kind = field.type if field else int if default is None else type(default)
            flags.DEFINE_flag(_flag(name, kind, default, text), values)
    flags.DEFINE_flag(flags.BooleanFlag("help", None, "show this help"), values)
    flags.DEFINE_string(
        "flagfile", "", "read flags from this file, or bnkit's of this name", flag_values=values
    )
    return values


def _flag(name, kind, default, text):
    if kind is bool:
        flag = flags.BooleanFlag(name, default, text)
        flag.parser = PARSERS[bool]
        return flag
    if name in study.AXES:
        default = None if default is None else (default,)
        parser = RATES if name == "lr" else LIST_PARSERS[kind]
        return flags.Flag(parser, None, name, default, f"{text}; or a list")
    return flags.Flag(PARSERS[kind], None, name, default, text)


def _check(values):
    """Checks what `Settings` does not.

    Raises:
        SettingsError: For a value that is not valid.
    """
    for norm in values.norm:
        if norm not in layers.names() and ":" not in norm:
            valid = f"one of {', '.join(layers.names())}, or package.module:Class"
            raise SettingsError("norm", norm, valid)
    name = values.study
    is_name = name not in ("", ".", "..") and pathlib.Path(name).name == name
    if not is_name or not name.isprintable() or len(name.encode()) > _LONGEST_NAME:
        raise SettingsError("study", name, "the name of a folder")
    if values.epochs is not None:
        if not COUNT.accepts(values.epochs):
            raise SettingsError("epochs", values.epochs, COUNT.valid)
        if values["steps"].present:
            raise SettingsError("epochs", values.epochs, "left out where --steps is given")
    if values.lr == (AUTO,):
        if values.dry_run or values.estimate:
            valid = "a number with --dry_run and --estimate, which train nothing"
            raise SettingsError("lr", values.lr, valid)
        if values.launcher != "local":
            valid = f"a number with --launcher={values.launcher}: it is found on one machine"
            raise SettingsError("lr", values.lr, valid)
        if values.schedule == "range":
            raise SettingsError("lr", values.lr, "a number with --schedule=range")
    if values.input not in _CHOICES["input"]:
        raise SettingsError("input", values.input, f"one of {', '.join(_CHOICES['input'])}")
    if values.jobs != AUTO:
        is_count = values.jobs.isdecimal() and int(values.jobs) >= 1
        if not is_count:
            raise SettingsError("jobs", values.jobs, f"{AUTO}, or a whole number >= 1")
        values.jobs = int(values.jobs)
    _check_launcher(values)
    if not POSITIVE.accepts(values.checkpoint_seconds):
        raise SettingsError("checkpoint_seconds", values.checkpoint_seconds, POSITIVE.valid)
    lists = {axis: values[axis].value or (None,) for axis in study.AXES}
    longest = max(lists, key=lambda axis: len(lists[axis]))
    if math.prod(map(len, lists.values())) > _MOST_RUNS:
        most = f"shorter: all lists together make at most {_MOST_RUNS:,} runs"
        raise SettingsError(longest, lists[longest], most)


def _check_cluster(values, grid):
    """Checks that a cluster is asked for one run, and not for several.

    Raises:
        SettingsError: If it is.
    """
    many = {
        f"a grid of {len(grid)} runs": len(grid) > 1,
        f"--lr={AUTO}": values.lr == (AUTO,),
        "--estimate": values.estimate,
        f"--launcher={values.launcher}": values.launcher != "local",
    }
    asked = [what for what, is_asked in many.items() if is_asked]
    if values.strategy == MULTIWORKER and asked:
        others = " or ".join(name for name in STRATEGIES if name != MULTIWORKER)
        valid = f"{others} with {asked[0]}: a cluster makes one run at a time"
        raise SettingsError("strategy", values.strategy, valid)


def _check_launcher(values):
    """Checks where the runs of a study are to be made.

    Raises:
        SettingsError: For a value that is not valid, or that the launcher cannot do.
    """
    launcher = values.launcher
    rules = {"launcher": one_of(LAUNCHERS), "gpus_per_run": _WHOLE}
    if values.cpus_per_run is not None:
        rules["cpus_per_run"] = COUNT
    for name, rule in rules.items():
        if not rule.accepts(values[name].value):
            raise SettingsError(name, values[name].value, rule.valid)
    left_out = {
        "gpus_per_run": launcher == "local",
        "ray_address": launcher != "ray",
        "estimate": launcher != "local",
    }
    for name, must_be in left_out.items():
        if must_be and values[name].value:
            raise SettingsError(name, values[name].value, f"left out with --launcher={launcher}")
    if launcher == "slurm" and not values.resume:
        valid = "true with --launcher=slurm, where the same command goes on; use another --study"
        raise SettingsError("resume", values.resume, valid)


def _wrapped(label, text, indent=_INDENT):
    """The lines of a label with its text to the right of it."""
    return textwrap.wrap(
        text,
        width=_WIDTH,
        initial_indent=f"{label} ".ljust(indent),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )


def _shown_default(name, default):
    """The default of a flag; those of each model, if it depends on the model."""
    if default is not None:
        return _shown(default)
    usual = families.get(Settings().model).defaults.get(name)
    others = {}
    for model, entry in families.MODELS.items():
        value = entry.defaults.get(name)
        if value not in (None, usual):
            others.setdefault(_shown(value), []).append(model)
    shown = [] if usual is None else [_shown(usual)]
    shown += [f"{', '.join(models)}: {value}" for value, models in others.items()]
    return "; ".join(shown)


def _shown(value):
    """A value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return one_line(text, _SHOWN)
