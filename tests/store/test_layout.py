"""Where runs are found, and that nothing but the store knows how."""

import ast
import pathlib

import pytest

import bnkit
from bnkit import store

PACKAGE = pathlib.Path(bnkit.__file__).parent
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if PACKAGE / "store" not in p.parents)
NAMES = ("settings.json", "status.json", "metrics.jsonl", "checkpoints", "tensorboard", "run.log")
# There it is a command, the module that it starts, or a flag.
MAY_SAY = {
    "commands.py": ["tensorboard"] * 2,
    "command_line.py": ["tensorboard"] * 2,
    "reporting/ending.py": ["tensorboard"],
    "study/launch.py": ["tensorboard"],
    "study/slurm.py": ["tensorboard"],
}


def path_names(source):
    """The names of files of a run among the strings of a module that can be paths.

    Text with spaces, such as a docstring or a message, is no path.
    """
    constants = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    strings = [node.value for node in constants if isinstance(node.value, str)]
    return [name for text in strings for name in NAMES if name in text and " " not in text.strip()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_the_store_knows_file_names(path):
    said = MAY_SAY.get(path.relative_to(PACKAGE).as_posix(), [])
    assert path_names(path.read_text(encoding="utf-8")) == said


def test_a_file_name_is_found_however_it_is_written():
    source = '''
"""The docstring may speak of `settings.json`."""
first = path / "settings.json"
second = list(path.glob("checkpoints/*.index"))
third = f"{path}/status.json"
raise ValueError(f"{path} has no status.json")
'''
    assert sorted(path_names(source)) == ["checkpoints", "settings.json", "status.json"]


def made(root, *names):
    """Directories with nothing but a description."""
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "settings.json").write_text("{}")


def test_the_files_are_those_that_a_run_writes(tmp_path):
    with store.RunDir(tmp_path) as run:
        run.start({})
        run.append({"step": 0, "kind": "train"})
        files = store.RunFiles(tmp_path)
        assert {files.description, files.status, files.records, files.lock} == set(
            tmp_path.iterdir()
        )
        assert (run.checkpoints, run.tensorboard) == (files.checkpoints, files.tensorboard)
    assert files.line(3) == f"{tmp_path}/metrics.jsonl, line 3"
    assert not files.has_checkpoint
    files.checkpoints.mkdir()
    (files.checkpoints / "ckpt-9.data-00000-of-00001").touch()
    assert not files.has_checkpoint
    (files.checkpoints / "ckpt-9.index").touch()
    assert files.has_checkpoint


def test_a_run_a_study_and_the_directory_of_studies(tmp_path):
    made(tmp_path, "b/x", "a/y", "a/x")
    (tmp_path / "a" / "report").mkdir()
    assert store.find_runs(tmp_path / "a" / "x") == [tmp_path / "a" / "x"]
    assert store.find_runs(tmp_path / "a") == [tmp_path / "a" / "x", tmp_path / "a" / "y"]
    below = ["a/x", "a/y", "b/x"]
    assert [run.relative_to(tmp_path).as_posix() for run in store.find_runs(tmp_path)] == below
    # A run that has lost its description, and a directory that is no run.
    (tmp_path / "a" / "lost").mkdir()
    (tmp_path / "a" / "lost" / "status.json").touch()
    (tmp_path / "a" / "dead_link").mkdir()
    (tmp_path / "a" / "dead_link" / "settings.json").symlink_to("nowhere")
    (tmp_path / "a" / "dead_link" / "metrics.jsonl").touch()
    (tmp_path / "a" / "started" / "checkpoints").mkdir(parents=True)
    below = ["a/dead_link", "a/lost", *below]
    assert [run.relative_to(tmp_path).as_posix() for run in store.find_runs(tmp_path)] == below
    assert store.is_run(tmp_path / "a" / "x") and not store.is_run(tmp_path / "a")


def test_nothing_to_find_says_what_was_looked_for(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for number in range(5):
        (tmp_path / "many" / f"epoch{number}").mkdir(parents=True)
    (tmp_path / "many" / "z").touch()
    for path, message in (
        (tmp_path / "empty", "no runs in .*empty, which is empty: looked for"),
        (tmp_path / "many", r"which holds epoch0, epoch1, epoch2, epoch3, epoch4, \.\.\.: looked"),
        (tmp_path, "which holds empty, file, many: looked for"),
        (tmp_path / "nowhere", "nowhere does not exist; expected the directory of a run"),
        (tmp_path / "file", "file is a file; expected the directory of a run"),
        (tmp_path, r"looked for settings\.json, \*/settings\.json and \*/\*/settings\.json"),
    ):
        with pytest.raises(store.RunError, match=message):
            store.find_runs(path)


def test_tensorboard_has_a_directory_of_each_run_and_of_the_study(tmp_path):
    made(tmp_path, "a/x")
    run = tmp_path / "a" / "x"
    assert store.tensorboard_directory(run) == run
    assert store.tensorboard_directory(tmp_path / "a") == tmp_path / "a" / "report"


def test_a_run_of_an_earlier_version_keeps_its_directory_for_tensorboard(tmp_path):
    made(tmp_path, "a/x")
    run = tmp_path / "a" / "x"
    (run / "tensorboard").mkdir()
    (run / "tensorboard" / "events.out.tfevents.1.machine").touch()
    assert store.tensorboard_directory(run) == run / "tensorboard"
    with store.RunDir(run) as directory:
        assert directory.tensorboard == run / "tensorboard"
        directory.start({})
        assert directory.tensorboard == run
    assert not (run / "tensorboard").exists()
