import os
import pathlib
import subprocess
import sys

import pytest

from bnkit.messages import LONGEST, one_line, python_command, say


def test_a_message_is_one_line():
    assert one_line("  two\nlines,\tand\r\n more\u2028 \x1c ") == "two lines, and more"
    assert one_line(ValueError("an error")) == "an error"


def test_control_characters_are_shown_and_not_sent():
    assert one_line("a\x1b[31mred\x07 b\x00 \udcff \u202e é") == (
        r"a\x1b[31mred\x07 b\x00 \udcff \u202e é"
    )


def test_a_long_message_keeps_both_its_ends():
    text = f"start {'x' * 5000} end"
    shown = one_line(text)
    assert len(shown) <= LONGEST and shown.startswith("start x") and shown.endswith("x end")
    assert " … " in shown
    assert one_line("x" * 50, 50) == "x" * 50 and len(one_line("x" * 51, 50)) <= 50


def test_lines_are_said_one_by_one(capsys):
    say("one", "two")
    assert capsys.readouterr().out == "one\ntwo\n"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_what_nobody_reads_is_lost_without_an_error():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as file:
        say("one", file=file)
        say("two", file=file)


def test_a_command_of_this_interpreter_can_be_typed_where_it_was_started(tmp_path, monkeypatch):
    """Nothing of it needs to be on the `PATH`, nor does a space in a path matter."""
    here = tmp_path / "a shell"
    (here / "bin").mkdir(parents=True)
    (here / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(here / "bin" / "python"))
    commands = {}
    for place in (here, here / "bin", pathlib.Path("/")):
        monkeypatch.chdir(place)
        commands[place] = python_command("-c", "print('one', 2)", pathlib.Path("a", "b"))
        shown = subprocess.run(
            ["/bin/sh", "-c", commands[place]], capture_output=True, text=True, env={}, check=True
        )
        assert (shown.stdout, shown.stderr) == ("one 2\n", "")
    assert commands[here].startswith("bin/python -c ")
    assert commands[here / "bin"].startswith(f"'{here}/bin/python' -c ")
