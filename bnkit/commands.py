"""The command `bnkit`: its first word says which of the commands is meant, as in `bnkit run`."""

import os
import pathlib
import re
import sys
import textwrap

import bnkit
from bnkit import arguments
from bnkit.messages import one_line, say

_HELP = """\
bnkit measures what a normalisation layer does to the optimisation landscape.

usage: bnkit COMMAND ...

  bnkit run --norm=bn --lr=0.5       train a network, measure its landscape, and report
  bnkit study                        list the ready-made studies
  bnkit study quick --jobs=2         make one of them; more flags change it
  bnkit study --norm=none,bn --lr=0.1,0.5 --seed=0,1,2
                                     or one of your own: lists make a grid of runs
  bnkit report runs/main             draw the report of a run or of studies again
  bnkit tensorboard runs             open TensorBoard on runs; more flags are TensorBoard's

`run` and `study` take the same flags, and do the same once there is one. `bnkit run --help` has
all of them, `bnkit report --help` those of the report. `bnkit --version` prints the version.
`python -m bnkit` is the same as `bnkit`."""


def main(argv=None):
    """Runs the command `bnkit`; returns its exit code, 2 for a word that is not a command."""
    command, *rest = (sys.argv if argv is None else argv)[1:] or ["--help"]
    if command in _COMMANDS:
        return _COMMANDS[command](rest, is_command=argv is None)
    if command in ("help", "--help", "-h"):
        say(_HELP)
        return 0
    if command == "--version":
        say(f"bnkit {bnkit.__version__}")
        return 0
    names = ", ".join(_COMMANDS)
    return _refuse(f"unknown command {command!r}: must be one of {names} (see bnkit --help)")


def _run(rest, is_command):
    """`bnkit.main`; a first word that is no flag is the name of a flag file."""
    from bnkit.main import main

    if rest and not rest[0].startswith("-"):
        name, *rest = rest
        if name not in (names := arguments.flag_files()):
            return _refuse(f"unknown flag file {name!r}: must be one of {', '.join(names)}")
        rest = [f"--flagfile={name}", *rest]
    # For layers and models of the user's own. `python -m` finds them here, too; a script does not.
    here = os.getcwd()
    if not {"", here} & set(sys.path):
        sys.path.insert(0, here)
    return main(["bnkit", *rest], is_command)


def _study(rest, is_command):
    """`bnkit.main`, and without any argument the studies that there are."""
    if rest:
        return _run(rest, is_command)
    say("Ready-made studies, to make as in `bnkit study quick`:", "")
    for name, path in arguments.flag_files().items():
        label, below = f"  {name:16}", " " * 18
        say(*textwrap.wrap(_summary(path), 96, initial_indent=label, subsequent_indent=below))
    return 0


def _summary(path):
    """What a flag file claims, and how long it takes, from its header."""
    text = path.read_text(encoding="utf-8")
    header = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    claim, time = re.search("Claim: +(.+) Command: .+ Time: +(.+) Outcome: ", header).groups()
    return f"{claim} Time: {time}"


def _report(rest, is_command):
    from bnkit.report.__main__ import main

    return main(["bnkit", *rest])


def _tensorboard(rest, is_command):
    """Becomes TensorBoard; returns only if there is nothing to show."""
    runs = "runs"
    if rest and not rest[0].startswith("-"):
        runs, *rest = rest
    if not pathlib.Path(runs).is_dir():
        return _refuse(f"{runs} is not a directory; expected that of runs, of a study or of a run")
    sys.stdout.flush()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", runs, *rest]
    os.execv(command[0], command)


_COMMANDS = {"run": _run, "study": _study, "report": _report, "tensorboard": _tensorboard}


def _refuse(message):
    say(f"bnkit: {one_line(message)}", file=sys.stderr)
    return 2
