import os

import pytest

from bnkit.messages import LONGEST, one_line, say


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
