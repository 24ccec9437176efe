"""The process that makes a report, as a command sees it; others than Python stand in for it."""

import builtins
import os
import signal
import sys

import pytest

from bnkit.reporting import ending
from bnkit.reporting.process import Reporter


@pytest.fixture
def reporter(tmp_path, monkeypatch):
    """`reporter(script)`: a `Reporter` whose process is this script of the shell.

    What it makes in this process has the exit code 5.
    """
    monkeypatch.setattr(ending, "report_run", lambda path: 5)
    made = []

    def factory(script):
        file = tmp_path / "script"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(file))
        made.append(Reporter(is_command=True))
        return made[-1]

    yield factory
    for one in made:
        one.close()


def test_it_is_told_what_to_report_on_and_its_exit_code_is_that_of_the_report(reporter, capfd):
    found = reporter('read task; echo "$@ $OPENBLAS_NUM_THREADS $task"; exit 7')
    assert found.report("report_run", path="runs/a") == 7
    task = '{"name": "report_run", "arguments": {"path": "runs/a"}}'
    assert capfd.readouterr().out == f"-m bnkit.reporting 1 {task}\n"


def test_without_it_the_report_is_made_here(reporter, monkeypatch):
    for script in ("kill -9 $$", "read task; kill -9 $$"):
        assert reporter(script).report("report_run", path="") == 5
    died = reporter("exit 1")
    died.start()
    os.waitid(os.P_PID, died._process.pid, os.WEXITED | os.WNOWAIT)
    assert died.report("report_run", path="") == 5
    found = reporter("exit 1")
    monkeypatch.setattr(sys, "executable", "/no/such/file")
    assert found.report("report_run", path="") == 5


def test_there_is_none_for_a_call_from_python_nor_in_a_notebook(reporter, monkeypatch):
    reporter("exit 7")
    assert Reporter(is_command=False).report("report_run", path="") == 5
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    assert Reporter(is_command=True).report("report_run", path="") == 5


def test_signals_are_not_for_it_while_it_waits(reporter):
    found = reporter("read task; exit 7")
    found.start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(found._process.pid, number)
    assert found.report("report_run", path="") == 7


def test_control_c_ends_it(reporter, monkeypatch):
    found = reporter("read task; exec sleep 60")
    found.start()
    process = found._process

    def interrupted(text):
        # SIGTERM is for Python's process; what waits here does not hear it.
        monkeypatch.setattr(process, "terminate", process.kill)
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found.report("report_run", path="")
    assert process.returncode == -signal.SIGKILL


def test_what_is_told_nothing_is_ended(reporter):
    found = reporter("read task; sleep 60")
    found.start()
    process = found._process
    found.close()
    assert process.returncode == -signal.SIGKILL and process.stdin.closed
