"""The real process: it is told of a run, or of nothing; beside it, the same in this process."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys

from study_runs import TINY, end

from bnkit import Settings
from bnkit.report import figures
from bnkit.report.page import write
from bnkit.reporting import ending


def few(entries):
    """Two figures, and between them one that cannot be drawn."""
    (loss, time) = (entry for entry in entries if entry.name in ("loss", "time_spent"))
    return loss, dataclasses.replace(loss, name="broken", title="Broken", draw=None), time


# As `python -m bnkit.reporting` with two cores and few figures.
PROCESS = f"""
import dataclasses, sys
from bnkit import backend
from bnkit.report import figures
from bnkit.report.page import forks, write
from bnkit.reporting.__main__ import main
{inspect.getsource(few)}
backend.cores = lambda: 2
write.FIGURES = few(figures.FIGURES)
start, forks._start = forks._start, lambda *arguments: print("forks") or start(*arguments)
code = main()
assert not {{"tensorflow", "keras"}} & set(sys.modules)
sys.exit(code)
"""


def contents(directory):
    """Name -> content of every file, without the time at which the page was made."""
    found = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*.*")}
    found["index.html"] = re.sub(rb"on [-\d]+ [:\d]+ UTC", b"", found["index.html"])
    return found


def test_it_makes_the_same_report_and_says_the_same(tmp_path, monkeypatch, capsys):
    settings = Settings(**TINY)
    run = end(tmp_path / "runs" / "s", settings, "done", steps=30, seconds={"total": 3.0})
    monkeypatch.setattr(write, "FIGURES", few(figures.FIGURES))
    paths = {"path": str(run), "runs_dir": str(tmp_path / "runs")}
    assert ending.report_run(directory=str(tmp_path / "here"), **paths) == 0
    here = contents(tmp_path / "here")
    assert len(here) == 2 + 2 * 3 and b"&#39;Broken&#39; cannot be drawn" in here["index.html"]
    task = {"name": "report_run", "arguments": {"directory": str(tmp_path / "there"), **paths}}
    told = subprocess.run(
        [sys.executable, "-c", PROCESS],
        **{"input": json.dumps(task), "capture_output": True, "text": True, "timeout": 100},
        check=False,
    )
    assert told.returncode == 0
    assert contents(tmp_path / "there") == here
    assert told.stdout == "forks\n" + capsys.readouterr().out.replace("/here/", "/there/")
    (warning,) = told.stderr.splitlines()
    assert warning.startswith("bnkit: The figure 'Broken' cannot be drawn from these records: Type")


def test_it_ends_at_once_and_says_nothing_if_nobody_will_tell_it():
    ended = subprocess.run(
        [sys.executable, "-m", "bnkit.reporting"],
        **{"input": "", "capture_output": True, "text": True, "timeout": 100},
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
