"""What the command refuses before anything is made, and its exit codes, whatever the cause."""

import pytest
from study_runs import end

from bnkit import callbacks, command_line, layers, main, report
from bnkit.data import DataError, builders

LINEAR = "--model=dln --depth=2 --samples=20 --steps=4 --probes= --norm=none"


def command(arguments):
    return main.main(["bnkit", *arguments.split()])


def settings_of(arguments):
    """The settings of the one run that the arguments ask for."""
    (settings,) = command_line.parse(["bnkit", *arguments.split()])[1]
    return settings


@pytest.mark.parametrize("more", ["", "--seed=0,1", "--dry_run"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--norm=os:system", "`norm` must lead to a Keras layer class"),
        ("--norm=users_package.norms:nothing", "`norm` must return a Keras layer"),
        ("--norm=users_package.leaving:Halve", "`norm` cannot be imported: SystemExit: goodbye"),
        ("--norm=no_such_module:Norm", "`norm` cannot be imported: ModuleNotFoundError"),
        ("--model=no_such_module:small", "`model` cannot be imported: ModuleNotFoundError"),
        ("--model=users_package.leaving:small", "`model` cannot be imported: SystemExit: goodbye"),
        ("--model=users_package.models:constant", "`model` must lead to a function (norm, "),
        ("--model=users_package.models:raising", "`model` cannot make a network: RuntimeError"),
        ("--model=users_package.models:leaving", "`model` cannot make a network: SystemExit: 3"),
        ("--model=users_package.models:layer", "`model` must return a keras.Model. Received"),
        ("--model=users_package.models:wide", "`model` must give logits of shape (None, 10)"),
        ("--model=users_package.models:ignoring", "`model` must have layers that its argument"),
        ("--model=users_package.models:small --norm=weight", "The normalisation wraps weight lay"),
        ("--dataset=cifra10", "There is no data set 'cifra10'. Did you mean cifar10"),
        ("--dataset=../x", "There is no ../x. Valid is a directory with train/CLASS"),
        ("--dataset=x/y/z", "TFDS cannot set up the data set 'x/y/z'"),
        ("--dataset=imdb_reviews", "The data set 'imdb_reviews/plain_text/1.0.0'"),
        ("--optimizer_args=beta_1=1", "`optimizer_args` must be arguments of Keras's sgd"),
        ("--batch_size=20001", "`batch_size` must be at most the number of training samples"),
        ("--test_split=test", "--train_split and --test_split and --image_size are for TFDS sets"),
    ],
)
def test_code_and_data_that_are_not_there_are_told_before_anything_is_made(
    arguments, message, more, workplace, capsys
):
    assert command(f"{arguments} {more} --data_dir={workplace / 'data'}") == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"bnkit: {message}") and shown.count("\n") == 1
    assert not list(workplace.iterdir())


@pytest.mark.parametrize("more", ["", "--seed=0,1", "--dry_run"])
def test_a_wrong_split_is_told_before_anything_is_made(more, workplace, capsys, monkeypatch):
    """As is a set that is not there and cannot be downloaded."""
    monkeypatch.setattr(builders, "_online", lambda urls: False)
    assert command(f"--dataset=mnist {more} --data_dir={workplace / 'data'}") == 2
    assert "could not be downloaded" in capsys.readouterr().err

    def prepared(name, data_dir, progress):
        raise DataError(f"{name} has no such split")

    monkeypatch.setattr(builders, "prepared", prepared)
    assert command(f"--dataset=mnist --train_split=nothing {more}") == 2
    assert capsys.readouterr().err == "bnkit: mnist has no such split\n"
    assert not list(workplace.iterdir())


def test_a_users_module_that_is_interrupted_ends_as_by_control_c(workplace, capsys, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(layers.importlib, "import_module", interrupted)
    assert command("--norm=mine:Norm") == 130
    assert capsys.readouterr().err == "bnkit: interrupted\n" and not list(workplace.iterdir())


@pytest.mark.parametrize("more", ["", "--noresume"])
def test_a_run_of_a_newer_version_is_refused_untouched(more, workplace, capsys):
    directory = end(workplace / "runs" / "main", settings_of(LINEAR), "done")
    description = directory / "settings.json"
    description.write_text(description.read_text().replace('"format": 1', '"format": 2'))
    before = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    assert command(f"{LINEAR} {more}") == 2
    shown = capsys.readouterr().err
    assert "settings.json was written by a newer version" in shown and shown.count("\n") == 1
    assert {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("file", ["settings.json", "status.json", "metrics.jsonl"])
def test_a_damaged_run_is_refused_untouched(file, workplace, capsys):
    directory = end(workplace / "runs" / "main", settings_of(LINEAR), "done")
    (directory / file).write_text('{"a": 1}\n')
    before = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    assert command(LINEAR) == 2
    shown = capsys.readouterr().err
    assert str(directory.relative_to(workplace) / file) in shown and shown.count("\n") == 1
    assert {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()} == before


# --- exit codes: 0, 1, 2 and 130, whatever the cause ---


def test_a_run_that_diverges_is_a_result(workplace, capsys):
    assert command(LINEAR.replace("--steps=4", "--steps=60") + " --lr=1e30") == 0
    shown = capsys.readouterr()
    assert " diverged: " in shown.out and "diverged: " in shown.err


def test_a_run_that_fails_is_one_line_and_its_trace_is_kept(workplace, capsys, monkeypatch):
    def fail(self, *arguments):
        raise ZeroDivisionError("in the user's layer")

    monkeypatch.setattr(callbacks.TrainingMetrics, "on_steps_end", fail)
    assert command(LINEAR) == 1
    shown = capsys.readouterr().err.splitlines()
    (log,) = workplace.glob("runs/main/*/run.log")
    # The run is announced before.
    assert shown[-1] == (
        "bnkit: step 1: ZeroDivisionError: in the user's layer "
        f"(where it happened: {log.relative_to(workplace)})"
    )
    assert len([line for line in shown if "Error" in line]) == 1
    assert "Traceback" in log.read_text() and "in fail" in log.read_text()


def test_too_little_memory_says_what_to_change(workplace, capsys, monkeypatch):
    def fail(self, *arguments):
        raise MemoryError("of 10 GB")

    monkeypatch.setattr(callbacks.TrainingMetrics, "on_steps_end", fail)
    assert command(LINEAR) == 1
    shown = capsys.readouterr().err.splitlines()
    assert shown[-1].startswith("bnkit: out of memory: choose a smaller --batch_size or --width, ")
    assert len([line for line in shown if "memory" in line]) == 1


def test_a_run_without_a_report_is_a_failure(workplace, capsys, monkeypatch):
    def write_report(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(report, "write_report", write_report)
    assert command(LINEAR) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "bnkit: no space left"
