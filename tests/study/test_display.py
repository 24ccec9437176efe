"""The progress bar of a study."""

import io
import sys

from study_runs import TINY, end

from bnkit import study
from bnkit.study import display


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_one_bar_counts_the_steps_of_all_runs(tmp_path, monkeypatch):
    grid = study.grid(**TINY | {"seed": [0, 1, 2]})  # 30 steps each
    end(tmp_path, grid[0], "done", steps=30)
    outcomes = {grid[0]: study.Outcome(grid[0], "done")}
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(display, "_PAUSE", 0)
    with display.Display(tmp_path, grid, outcomes, progress=True) as bar:
        end(tmp_path, grid[1], "running", steps=6)
        bar.show(grid[1:2])
        assert "36/90" in last_line(shown) and "1 done, 1 running of 3 runs" in last_line(shown)
        with open(tmp_path / grid[1].run_id / "metrics.jsonl", "a") as records:
            records.write('{"step": 6, "kind": "eval"}\n{"step": 6, "kind": "train", "lo')
            records.flush()
            bar.show(grid[1:2])
            assert "36/90" in last_line(shown)  # the line is not complete
            records.write('ss": 1.0}\n')
        bar.show(grid[1:2])
        assert "37/90" in last_line(shown)
        # Cut back to a checkpoint, as a run that goes on is.
        end(tmp_path, grid[1], "running", steps=5)
        bar.show(grid[1:2])
        assert "35/90" in last_line(shown)
        # It diverges: the steps that it will never make are no longer waited for.
        outcomes[grid[1]] = study.Outcome(grid[1], "diverged")
        bar.show(grid[2:])
        assert "35/65" in last_line(shown)
        assert "1 done, 1 diverged, 1 running of 3 runs" in last_line(shown)


def last_line(shown):
    return shown.getvalue().split("\r")[-1]


def test_the_log_of_a_run_that_nobody_watches_stays_free_of_bars(tmp_path, capsys):
    grid = study.grid(**TINY | {"seed": [0, 1]})
    with display.Display(tmp_path, grid, {}, progress=True) as bar:
        bar.show(grid)
    told = capsys.readouterr().err
    assert "\r" not in told and "|" not in told
