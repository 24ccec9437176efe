"""Work in forked processes: each case in a process of its own, for here TensorFlow is loaded."""

import subprocess
import sys
import textwrap

from bnkit.report.page import forks

RESULTS = """
import multiprocessing, os, time
from bnkit.report.page import forks
HERE = os.getpid()
{work}
with forks.spread(work, {count}, 2) as results:
    print(*sorted(results))
assert not multiprocessing.active_children()
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def output(work, count):
    result = run(RESULTS.format(work=work, count=count))
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.strip()


def test_every_task_is_done_once_and_by_other_processes():
    work = "def work(number): time.sleep(0.05); return os.getpid()"
    words = output(work, 7).replace("(", "").replace(")", "").replace(",", "").split()
    assert words[::2] == list("0123456")
    assert len(set(words[1::2])) == 2


def test_what_a_process_that_is_killed_has_not_done_is_done_here():
    work = "def work(number): return number if number != 2 or os.getpid() == HERE else os.abort()"
    assert output(work, 5) == " ".join(f"({number}, {number})" for number in range(5))


def test_without_room_for_processes_all_is_done_here():
    work = (
        "def fork(): raise BlockingIOError\nos.fork = fork\n"
        "def work(number): return os.getpid() == HERE"
    )
    assert output(work, 2) == "(0, True) (1, True)"


def test_an_error_of_the_system_is_raised_and_ends_all():
    work = "def work(number): raise OSError(28, 'no space left', 'figure.png')"
    result = run(RESULTS.format(work=work, count=5))
    last = result.stderr.splitlines()[-1]
    assert last == "OSError: [Errno 28] no space left: 'figure.png'"


def test_control_c_ends_all_and_the_processes_say_nothing():
    work = (
        "import signal\n"
        "def work(number):\n"
        "    if number == 1: os.killpg(os.getpgid(0), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    code = (
        "import os; os.setsid()\n"
        f"try:\n{textwrap.indent(RESULTS.format(work=work, count=2), '    ')}\n"
        "except KeyboardInterrupt:\n    print('interrupted', multiprocessing.active_children())\n"
    )
    result = run(code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "interrupted []\n", "")


def test_a_process_with_tensorflow_is_not_forked(monkeypatch):
    assert "tensorflow" in sys.modules
    monkeypatch.delattr("os.fork")
    with forks.spread(lambda number: number, 3, 2) as results:
        assert list(results) == [(0, 0), (1, 1), (2, 2)]
