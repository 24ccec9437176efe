"""The command `bnkit`: which command a word leads to, and what it costs to ask for help."""

import configparser
import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest

import bnkit
from bnkit import arguments, command_line, commands
from bnkit import main as main_module
from bnkit.report import __main__ as report_module

ROOT = pathlib.Path(bnkit.__file__).parents[1]


def command(*words):
    return commands.main(["bnkit", *words])


@pytest.fixture
def handed_on(monkeypatch):
    """What the commands behind the words are called with: a list of `(command, arguments)`.

    "main" has a third entry, True, where it is told that this process is a command.
    """
    calls = []

    def main(argv, is_command):
        calls.append(("main", argv[1:], True) if is_command else ("main", argv[1:]))
        return 7

    monkeypatch.setattr(main_module, "main", main)
    monkeypatch.setattr(report_module, "main", lambda argv: calls.append(("report", argv[1:])) or 7)
    monkeypatch.setattr(os, "execv", lambda path, argv: calls.append((path, argv)))
    return calls


@pytest.mark.parametrize(
    ("words", "called"),
    [
        (["run"], ("main", [])),
        (["run", "--norm=bn", "--lr=0.5"], ("main", ["--norm=bn", "--lr=0.5"])),
        (["run", "quick"], ("main", ["--flagfile=quick"])),
        (["study", "fig1", "--jobs=1"], ("main", ["--flagfile=fig1", "--jobs=1"])),
        (["study", "--norm=none,bn"], ("main", ["--norm=none,bn"])),
        (["run", "--help"], ("main", ["--help"])),
        (["report", "runs/a", "runs/b"], ("report", ["runs/a", "runs/b"])),
        (["report", "--help"], ("report", ["--help"])),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_word_leads_to_its_command_with_its_exit_code(words, called, handed_on):
    assert command(*words) == 7
    assert handed_on == [called]


def test_a_process_that_is_the_command_says_so(monkeypatch, handed_on):
    for words in (["run", "--norm=bn"], ["study", "--norm=bn"]):
        monkeypatch.setattr(sys, "argv", ["bnkit", *words])
        assert commands.main() == 7
        assert handed_on.pop() == ("main", ["--norm=bn"], True)


def test_modules_of_the_users_own_are_found_in_the_working_directory(tmp_path, monkeypatch):
    """As by `python -m`; the path of an installed script begins with the directory of that."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "only_found_here.py").write_text("found = 5")
    away = [path for path in sys.path if path not in ("", str(tmp_path))]
    monkeypatch.setattr(sys, "path", list(away))

    def main(argv, is_command):
        return importlib.import_module("only_found_here").found

    monkeypatch.setattr(main_module, "main", main)
    assert command("run") == command("study", "--norm=none") == 5
    assert sys.path == [str(tmp_path), *away]


@pytest.mark.parametrize(
    ("words", "directory", "more"),
    [
        ([], "runs", []),
        (["runs/main"], "runs/main", []),
        (["--port=7007"], "runs", ["--port=7007"]),
        (["runs/main", "--bind_all"], "runs/main", ["--bind_all"]),
    ],
    ids=" ".join,
)
def test_tensorboard_takes_the_place_of_the_command(
    words, directory, more, handed_on, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "main").mkdir(parents=True)
    command("tensorboard", *words)
    argv = [sys.executable, "-m", "tensorboard.main", "--logdir", directory, *more]
    assert handed_on == [(sys.executable, argv)]
    assert importlib.util.find_spec("tensorboard.main")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rum"], "unknown command 'rum': must be one of run, study, report, tensorboard (see bn"),
        (["--norm=bn"], "unknown command '--norm=bn': must be one of run, study, report, tens"),
        (["a\nb" + "c" * 5000], r"unknown command 'a\nbcc"),
        (
            ["run", "quik"],
            "unknown flag file 'quik': must be one of course, demo, demo_st",
        ),
        (
            ["study", "bn"],
            "unknown flag file 'bn': must be one of course, demo, demo_st",
        ),
        (["tensorboard", "rnus"], "rnus is not a directory; expected that of runs, of a study or"),
        (["tensorboard"], "runs is not a directory; expected that of runs, of a study or of a r"),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, list) else "",
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    words, message, handed_on, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert command(*words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"bnkit: {message}")
    assert shown.err.count("\n") == 1 and len(shown.err) < 1100
    assert not shown.out and not handed_on and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]], ids=" ".join)
def test_without_a_command_one_screen_shows_them_all(words, capsys):
    assert command(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 100
    for name in ("run", "study", "report", "tensorboard"):
        assert any(line.startswith(f"  bnkit {name}") for line in lines), name


def test_the_commands_of_the_help_are_valid(capsys):
    command("--help")
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split("   ")[0].split() for line in map(str.strip, lines)]
    asked = [words[2:] for words in shown if words[:1] == ["bnkit"] and words[1:2] != ["measures"]]
    flags = [[word for word in words if word.startswith("--")] for words in asked]
    assert ["--norm=none,bn", "--lr=0.1,0.5", "--seed=0,1,2"] in flags
    for words in flags:
        command_line.parse(["bnkit", *words])


def test_the_commands_of_the_documents_are_valid(handed_on):
    """Those that train, `bnkit run` and `bnkit study`, wherever they are shown."""
    pages = [ROOT / "README.md", ROOT / "DESCRIPTION.md", *(ROOT / "docs").glob("*.md")]
    found = [
        words.partition(" #")[0].split()
        for page in pages
        for words in re.findall(r"\bbnkit ((?:run|study) [^`\n]*)", page.read_text("utf-8"))
    ]
    assert len(found) > 3
    for words in found:
        command(*words)
    asked = [arguments for name, arguments in handed_on if name == "main"]
    assert ["--flagfile=quick", "--jobs=2"] in asked
    for words in asked:
        command_line.parse(["bnkit", *words])


def test_study_alone_lists_every_flag_file_with_its_claim_and_time(capsys):
    assert command("study") == 0
    shown = capsys.readouterr().out
    for name in arguments.flag_files():
        assert f"\n  {name} " in shown
    flat = " ".join(shown.split())
    assert "quick batch norm trains faster, and its landscape is smoother" in flat
    assert "Time: about 4 minutes on two cores." in flat
    assert "Command" not in flat and "Outcome" not in flat
    assert max(map(len, shown.splitlines())) <= 100


def test_the_version_is_printed(capsys):
    assert command("--version") == 0
    assert capsys.readouterr().out == f"bnkit {bnkit.__version__}\n"


def test_the_installed_command_is_this_one():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    (script,) = setup["options.entry_points"]["console_scripts"].split("\n")[1:]
    name, _, target = script.partition(" = ")
    module, _, function = target.partition(":")
    assert name == "bnkit"
    assert getattr(importlib.import_module(module), function) is commands.main


@pytest.mark.parametrize(
    ("words", "code"),
    [
        *[(words, 0) for words in ("", "--version", "study", "run --help", "report --help")],
        *[(words, 2) for words in ("rum", "run quik", "run --lr=x", "report")],
    ],
)
def test_help_loads_nothing_heavy(words, code):
    """In a process of its own, as `python -m bnkit`."""
    program = (
        "import runpy, sys\n"
        "try: runpy.run_module('bnkit', run_name='__main__')\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *words.split()], capture_output=True, text=True
    )
    loaded = {name.split(".")[0] for name in result.stderr.splitlines()[-1].split()}
    assert "bnkit" in loaded and result.returncode == code
    assert not loaded & {"tensorflow", "keras", "matplotlib", "pandas", "numpy", "tensorboard"}
