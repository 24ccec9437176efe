"""How long work is shown: a bar where somebody watches, lines of the log elsewhere."""

import itertools
import logging
import sys

import pytest

from bnkit import waiting


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def lines(caplog):
    """`lines(total)`: lines of the log, whose clock is `lines.clock`."""
    caplog.set_level(logging.INFO, "bnkit")

    def make(total, initial=0):
        return waiting.Lines(total, "work: compiling", "step", initial, now=make.clock)

    make.clock, make.said = Clock(), lambda: [record.getMessage() for record in caplog.records]
    return make


def test_a_line_at_once_and_for_every_tenth_with_the_time_that_is_left(lines):
    work = lines(100)
    lines.clock.seconds = 7
    work.begins_now("work")
    for step in range(1, 101):
        lines.clock.seconds += 0.5
        work.at(step, f"loss {step}")
    said = lines.said()
    assert said[:3] == [
        "work: compiling took 7 s",
        "work: 4 of 100 steps (4 %), loss 4, 48 s left",
        "work: 10 of 100 steps (10 %), loss 10, 45 s left",
    ]
    assert len(said) == 12 and said[-1] == "work: 100 of 100 steps (100 %), loss 100"


def test_slow_work_has_a_line_every_15_seconds_and_later_more_seldom(lines):
    work = lines(1000, initial=500)
    times = []
    for step in range(501, 560):
        lines.clock.seconds += 14
        before = len(lines.said())
        work.at(step)
        times += [lines.clock.seconds] * (len(lines.said()) - before)
    assert lines.said()[0] == "work: compiling: 502 of 1000 steps (50 %), 1 h 56 min left"
    pauses = [after - one for one, after in itertools.pairwise(times)]
    assert min(pauses) == 28 and pauses[-1] > 28


def test_work_of_a_moment_has_no_line(lines):
    work = lines(3)
    for step in (1, 2, 3):
        lines.clock.seconds += 0.5
        work.at(step)
    assert lines.said() == []


def test_the_total_may_change(lines):
    work = lines(10)
    lines.clock.seconds = 20
    work.at(5, total=50)
    assert lines.said() == ["work: compiling: 5 of 50 steps (10 %), 3 min 0 s left"]


def test_at_a_terminal_there_is_a_bar_and_the_log_stands_above_it(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    log = logging.getLogger("bnkit")
    handler = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(log, "handlers", [handler])
    with waiting.shown(4, "compiling", "step") as work:
        work.at(1)
        work.begins_now("training")
        log.error("a message")
        work.at(4, "loss 1")
    shown = capsys.readouterr().err
    assert "a message\n" in shown.replace("\r", "\n")
    assert "training: 100%" in shown and "4/4" in shown and "loss 1" in shown
    assert shown.endswith("\n") and log.handlers == [handler]


def test_elsewhere_there_are_lines_and_on_request_nothing(caplog):
    caplog.set_level(logging.INFO, "bnkit")
    with waiting.shown(4, "work", "step") as work:
        assert isinstance(work, waiting.Lines)
    with waiting.shown(4, "work", "step", is_shown=False) as work:
        work.begins_now("more")
        work.at(4)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7800, "2 h 10 min")]
)
def test_a_duration_is_said_as_people_do(seconds, shown):
    assert waiting.duration(seconds) == shown


def test_lines_are_heard_where_nobody_listens_to_the_log(capsys, caplog, monkeypatch):
    log = logging.getLogger("bnkit")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.NOTSET, "bnkit")
    with waiting.shown(4, "work: compiling", "step") as work:
        work.begins_now("work")
        log.info("a message")
    assert capsys.readouterr().err.splitlines() == [
        "bnkit: work: compiling",
        "bnkit: work: compiling took 0 s",
        "bnkit: a message",
    ]
    log.info("not heard any more")
    assert not capsys.readouterr().err
    assert not [record for record in caplog.records if record.name.startswith("bnkit")]
    assert (log.handlers, log.level, log.propagate) == ([], logging.NOTSET, True)
    caplog.set_level(logging.INFO, "bnkit")
    with waiting.shown(4, "work", "step") as work:
        work.begins_now("work")
    assert not capsys.readouterr().err
