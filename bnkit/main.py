"""The command: `python -m bnkit.main --norm=bn --lr=0.5`."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import sys
import tempfile
import textwrap

from absl import flags

from bnkit import layers, study
from bnkit.settings import (
    ACTIVATIONS,
    DEFAULTS,
    MODELS,
    OPTIMIZERS,
    PRECISIONS,
    PROBES,
    STRATEGIES,
    Settings,
    SettingsError,
)
from bnkit.study import INTERRUPTED

_PURPOSE = """\
Trains a network with a normalisation, measures the landscape of its loss on the way, and reports.

usage: python -m bnkit.main --norm=bn --lr=0.5
       python -m bnkit.main --norm=none,bn --lr=0.1,0.5 --seed=0,1,2 --study=fig1 --jobs=2
       python -m bnkit.main --flagfile=flags/quick.flags

Lists make a grid: every combination is one run, and one report compares them all."""

# Group -> flag -> help, in the order of `--help`. Flags that are fields of `Settings` take their
# type and their default from there.
_HELP = {
    "What is compared": {
        "norm": f"normalisation: {', '.join(layers.names())}; or package.module:Class of your own",
        "lr": "learning rate, constant over the run",
        "seed": "of the initial weights and the order of the batches",
    },
    "Network and data": {
        "model": f"one of {', '.join(MODELS)}; dln is the deep linear network",
        "width": "multiplies the channels and units of a VGG; the units of a layer of the dln",
        "depth": "layers of the dln",
        "norm_last": "normalise the last layer of the dln, too",
        "activation": f"non-linearity: {', '.join(ACTIVATIONS)}",
        "dataset": "glyphs (rendered here), or any TFDS image classification set; gaussian",
        "samples": "number of gaussian samples",
        "data_dir": "where TFDS keeps its sets; TFDS_DATA_DIR or ~/tensorflow_datasets if not set",
    },
    "Training": {
        "steps": "number of updates",
        "batch_size": "samples per update, over all replicas together; dln: all",
        "optimizer": f"one of {', '.join(OPTIMIZERS)}",
        "momentum": "of sgd",
        "weight_decay": "c of the penalty c/2 * sum ||kernel||^2, logged apart from the loss",
        "sync_norm": "batch statistics of the global batch instead of each replica's",
        "precision": f"compute type of the layers: {', '.join(PRECISIONS)}",
        "strategy": f"{STRATEGIES[0]} mirrors over all GPUs, or uses the CPU; "
        f"{STRATEGIES[1]} leaves GPUs alone",
    },
    "Measuring": {
        "probes": f"comma-separated list out of {', '.join(PROBES)}; empty for none",
        "probe_every": "steps between two measurements",
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
        "resume": "keep what an earlier run of the same settings measured, and go on from there",
    },
    "Grids": {
        "jobs": "runs of a grid to make at a time, each with its share of the CPU cores",
        "dry_run": "list the runs and their states, make a few steps to estimate their time, stop",
    },
}
_DEFAULTS = {
    "data_dir": "",
    "study": "main",
    "runs_dir": "runs",
    "reports_dir": "reports",
    "resume": True,
    "jobs": 1,
    "dry_run": False,
}


class _Parser(flags.ArgumentParser):
    """Text -> value, with one message for whatever cannot be read."""

    def __init__(self, convert, valid):
        self._convert, self._valid = convert, valid

    def parse(self, argument):
        try:
            return self._convert(argument) if isinstance(argument, str) else argument
        except ValueError:
            raise ValueError(f"must be {self._valid}") from None

    def flag_type(self):
        return self._valid


def _split(text):
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _truth(text):
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError from None


_ONE = {str: (str, "text"), int: (int, "a whole number"), float: (float, "a number")}
_PARSERS = {
    **{kind: _Parser(*one) for kind, one in _ONE.items()},
    bool: _Parser(_truth, "true or false"),
    tuple[str, ...]: _Parser(_split, "a comma-separated list of names"),
    tuple[float, ...]: _Parser(
        lambda text: tuple(map(float, _split(text))), "a comma-separated list of numbers"
    ),
}

# Of the flags that make a grid.
_LIST_PARSERS = {
    kind: _Parser(
        lambda text, convert=convert: tuple(convert(part.strip()) for part in text.split(",")),
        f"{valid}, or several with commas between them",
    )
    for kind, (convert, valid) in _ONE.items()
}


def define_flags():
    """A fresh `FlagValues` with all flags of the command."""
    values = flags.FlagValues()
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    for group in _HELP.values():
        for name, text in group.items():
            field = fields.get(name)
            default = field.default if field else _DEFAULTS[name]
            kind = field.type if field else type(default)
            if kind is bool:
                flag = flags.BooleanFlag(name, default, text)
                flag.parser = _PARSERS[bool]
            elif name in study.AXES:
                default = None if default is None else (default,)
                flag = flags.Flag(_LIST_PARSERS[kind], None, name, default, f"{text}; or a list")
            else:
                flag = flags.Flag(_PARSERS[kind], None, name, default, text)
            flags.DEFINE_flag(flag, values)
    flags.DEFINE_flag(flags.BooleanFlag("help", False, "show this help"), values)
    flags.DEFINE_string("flagfile", "", "read flags from this file", flag_values=values)
    return values


def help_text(values):
    """The flags by group, with their defaults."""
    lines = [_PURPOSE]
    for title, group in {**_HELP, "Other": ("flagfile", "help")}.items():
        lines += ["", f"{title}:"]
        for name in group:
            default = _shown_default(name, values[name].default)
            text = values[name].help
            lines += textwrap.wrap(
                f"{text} [{default}]" if default and name != "help" else text,
                width=96,
                initial_indent=f"  --{name}".ljust(20),
                subsequent_indent=" " * 20,
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def _shown_default(name, default):
    """The default of a flag; where it follows from the model, those of VGG and of the dln."""
    if default is not None:
        return _shown(default)
    of = {model: _shown(DEFAULTS[model].get(name, "")) for model in ("vgg11", "dln")}
    return "; ".join(filter(None, [of["vgg11"], of["dln"] and f"dln: {of['dln']}"]))


def _shown(value):
    """A value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def parse(argv):
    """The command line as `(FlagValues, list of Settings)`, one for every run.

    Raises:
        flags.Error: for a flag that is unknown or cannot be read.
        SettingsError: for a value that is not valid.
    """
    values = define_flags()
    rest = values(argv)[1:]
    if rest:
        raise flags.Error(f"unexpected argument {rest[0]!r}: flags look like --norm=bn")
    for norm in values.norm:
        if norm not in layers.names() and ":" not in norm:
            valid = f"one of {', '.join(layers.names())}, or package.module:Class"
            raise SettingsError("norm", norm, valid)
    if values.study in ("", ".", "..") or pathlib.Path(values.study).name != values.study:
        raise SettingsError("study", values.study, "the name of a folder")
    if values.jobs < 1:
        raise SettingsError("jobs", values.jobs, "a whole number >= 1")
    fields = [field.name for field in dataclasses.fields(Settings)]
    return values, study.grid(**{name: values[name].value for name in fields})


def main(argv=None):
    """Runs the command; returns its exit code.

    That is 0, 1 for a study of which runs failed, 2 for input that is not valid, or 130 after
    Ctrl-C.
    """
    argv = sys.argv if argv is None else argv
    try:
        values, grid = parse(argv)
    except SettingsError as error:
        return _fail(f"flag --{error.field}={_shown(error.value)}: must be {error.valid}")
    except flags.Error as error:
        return _fail(str(error).removeprefix("ERROR:: "))
    if values.help:
        print(help_text(values))
        return 0
    _show_log()
    command = ["python", "-m", "bnkit.main", *argv[1:]]
    try:
        if values.dry_run:
            return _list(values, grid)
        if len(grid) > 1:
            return _run_study(values, grid, command)
        return _run(values, grid[0], command)
    except KeyboardInterrupt:
        return _fail("interrupted", code=INTERRUPTED)


def _list(values, grid):
    """Shows what there is to do, and how long it will take; returns the exit code."""
    from bnkit.store import RunError
    from bnkit.study import tables, timing

    try:
        _check_users_layers(grid)
        states = {
            settings: study.state(settings, _study_dir(values), resume=values.resume)
            for settings in grid
        }
        estimates = timing.estimate(
            {s: state for s, state in states.items() if state not in study.ENDED},
            _study_dir(values),
            jobs=values.jobs,
            data_dir=values.data_dir or None,
        )
    except (ValueError, OSError, RunError) as error:
        return _fail(error)
    print(tables.text(tables.plan_table(grid, states, estimates)))
    known = [seconds for seconds in estimates.values() if seconds is not None]
    print(
        f"{len(estimates)} of {len(grid)} runs to make, {values.jobs} at a time: "
        f"about {tables.duration(timing.in_all(known, values.jobs))}"
    )
    return 0 if len(known) == len(estimates) else 1


def _run_study(values, grid, command):
    """Makes the runs of a grid and reports on the study; returns the exit code."""
    from bnkit.report import ReportError, read_claims, write_report
    from bnkit.report.page.headlines import verdicts, warnings
    from bnkit.report.page.images import show_report
    from bnkit.store import RunError
    from bnkit.study import tables

    study_dir = _study_dir(values)
    report = pathlib.Path(values.reports_dir) / values.study
    try:
        # Before anything is trained: what can be found out now is not to be found out at the end.
        report.mkdir(parents=True, exist_ok=True)
        _check_users_layers(grid)
        outcomes = study.run(
            grid,
            study_dir,
            jobs=values.jobs,
            data_dir=values.data_dir or None,
            resume=values.resume,
            command=command,
        )
        heads = tables.read_headlines(outcomes, study_dir)
    except (ValueError, OSError, RunError) as error:
        return _fail(error)
    print(tables.text(tables.outcome_table(outcomes, heads)))
    states = {outcome.state for outcome in outcomes}
    if states & {"interrupted", "to do"}:
        return _fail("interrupted; the same command goes on from there", code=INTERRUPTED)
    if not heads:
        return _fail("every run failed before it measured anything: no report", code=1)
    for line in warnings([head for head in heads.values() if head["never_trained"]]):
        print(f"bnkit: {line}", file=sys.stderr)
    try:
        page = write_report(study_dir, report)
        show_report(page, study_dir)
        print(*verdicts(read_claims(report)), sep="\n")
    except (ReportError, OSError) as error:
        return _fail(error, code=1)
    print(f"report: {page}")
    print(f"TensorBoard: tensorboard --logdir {study_dir}")
    return 1 if "failed" in states else 0


def _study_dir(values):
    return pathlib.Path(values.runs_dir) / values.study


def _check_users_layers(grid):
    """That the user's own layers can be imported: a slip is told before anything is trained."""
    paths = {settings.norm for settings in grid if ":" in settings.norm}
    if paths:
        with _without_start_up_messages():
            import keras  # noqa: F401
        for path in sorted(paths):
            layers.get(path)


def _run(values, settings, command):
    """Trains, measures, reports; returns the exit code."""
    with _without_start_up_messages():
        import tensorflow as tf

        from bnkit import experiment

        tf.config.list_physical_devices()
    from bnkit.report import write_report
    from bnkit.report.page.headlines import headlines, sentence, warnings
    from bnkit.report.page.images import show_report
    from bnkit.report.runs import read_runs
    from bnkit.store import RunError

    report = pathlib.Path(values.reports_dir) / values.study / settings.run_id
    try:
        # Before anything is trained: that it can be written is not to be found out at the end.
        report.mkdir(parents=True, exist_ok=True)
        run = experiment.run(
            settings,
            _study_dir(values),
            data_dir=values.data_dir or None,
            resume=values.resume,
            command=command,
        )
        page = write_report(run, report)
        (result,) = headlines(read_runs(run))
        show_report(page, run, result["steps"])
    except (ValueError, OSError, RunError) as error:
        return _fail(error)
    for line in warnings([result]):
        print(f"bnkit: {line}", file=sys.stderr)
    print(sentence(result))
    print(f"report: {page}")
    print(f"TensorBoard: tensorboard --logdir {values.runs_dir}")
    return INTERRUPTED if result["status"] == "interrupted" else 0


@contextlib.contextmanager
def _without_start_up_messages():
    """Hides what TensorFlow's runtime prints while it loads, before its log level applies.

    If loading fails, everything is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _show_log():
    """Shows what the library has to say beside its results."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("bnkit: %(message)s"))
    logger = logging.getLogger("bnkit")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _fail(message, code=2):
    print("bnkit:", " ".join(str(message).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
