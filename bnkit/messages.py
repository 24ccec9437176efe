"""Messages for the terminal: one line, of a length that can be read, whatever is in it."""

import logging
import os
import pathlib
import shlex
import sys

# Characters of a whole message.
LONGEST = 1000


def one_line(text, longest=LONGEST):
    """A text in one line; what is too long is cut in the middle, for both ends say what it is.

    Control characters are shown as escapes: a file's name must not drive the terminal.
    """
    line = " ".join(str(text).split())
    if len(line) > longest:
        half = (longest - 3) // 2
        line = f"{line[:half]} … {line[-half:]}"
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)


def say(*lines, file=None):
    """Prints lines. Nobody may be reading them any more, as with `| head`: then they are lost.

    Args:
        lines: One text each.
        file: Standard output if not given.
    """
    file = file or sys.stdout
    try:
        print(*lines, sep="\n", file=file, flush=True)
    except BrokenPipeError:
        # What comes after it, the interpreter's own last flush included, goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)


def fail(message, code=2):
    """Says what is wrong, on stderr; returns the exit code."""
    say(f"bnkit: {one_line(message)}", file=sys.stderr)
    return code


def show_log():
    """Shows the library's log on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("bnkit: %(message)s"))
    logger = logging.getLogger("bnkit")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def python_command(*arguments):
    """A command of this interpreter, as it can be typed in the shell that started this process.

    What is on the `PATH` here need not be on that of the shell: `.venv/bin/python` is started by
    its path, and `uv run` changes the `PATH` of what it starts.

    Args:
        arguments: Of the interpreter.
    """
    python, here = pathlib.Path(sys.executable), pathlib.Path.cwd()
    # A name alone would be looked for on the `PATH`.
    if python.is_relative_to(here) and python.parent != here:
        python = python.relative_to(here)
    return shlex.join(map(str, (python, *arguments)))
