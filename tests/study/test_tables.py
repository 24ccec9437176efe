"""The tables of a study, from runs made up by hand."""

from study_runs import TINY, end

from bnkit import study
from bnkit.settings import Settings
from bnkit.study import tables, timing


def test_the_table_has_a_row_for_every_run(tmp_path):
    done, diverged, failed = grid = [
        Settings(**TINY, lr=lr, seed=seed) for lr, seed in ((0.1, 0), (0.5, 0), (0.1, 1))
    ]
    end(tmp_path, done, "done", steps=30, loss=0.25, seconds={"train": 2.0, "total": 12.5})
    end(tmp_path, diverged, "diverged", steps=3, loss=float("inf"))
    # It failed before it recorded anything: there is only its log.
    (tmp_path / failed.run_id).mkdir()
    (tmp_path / failed.run_id / "run.log").touch()
    states = ("done", "diverged", "failed")
    outcomes = [study.Outcome(one, state) for one, state in zip(grid, states, strict=True)]
    table = tables.outcome_table(outcomes, tables.read_headlines(outcomes, tmp_path))
    assert table["lr"].tolist() == [0.1, 0.5, 0.1] and table["seed"].tolist() == [0, 0, 1]
    assert table["state"].tolist() == list(states)
    assert table["loss"].tolist()[:2] == [0.25, float("inf")]
    assert table["seconds"][0] == 12.5
    assert table.loc[2, ["loss", "seconds"]].isna().all()
    assert "accuracy" not in table  # A regression has none.
    assert tables.text(table).splitlines()[1].split() == [
        "none",
        "0.1",
        "0",
        "done",
        "0.25",
        "12.5",
    ]


def test_the_plan_tells_states_and_times():
    grid = study.grid(norm=["none", "bn", "l1"], seed=0, width=[0.5, 1])
    states = dict(zip(grid, ["done", "to do", "resume", "to do", "to do", "to do"], strict=True))
    estimates = {
        settings: seconds and timing.Estimate(seconds, 1_000_000, 7.6e9, 1e11, None, 0.126)
        for settings, seconds in zip(grid[1:], [59.6, 3725, None, 1, 1], strict=True)
    }
    table = tables.plan_table(grid, states, estimates)
    of_estimates = ["estimate", "parameters", "GFLOP/step", "GFLOP/capture", "GB", "probes"]
    assert table.columns.tolist() == ["width", "norm", "lr", "seed", "state", *of_estimates]
    assert table.loc[1, of_estimates].tolist() == [
        *("1 min 0 s", "1,000,000", "7.6", "100", "-", "13 %")
    ]
    assert table.loc[0, of_estimates].tolist() == table.loc[3, ["parameters", *5 * ["GB"]]].tolist()
    assert table["estimate"].tolist()[:4] == ["-", "1 min 0 s", "1 h 2 min", "cannot run"]
