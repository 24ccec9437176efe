"""The learning rate of all arms, from range tests and trials that are written by hand."""

import math

import pytest
from study_runs import TINY

from bnkit import study
from bnkit.settings import SettingsError
from bnkit.store import RunDir, RunFailed
from bnkit.study import range_test


@pytest.fixture
def arms(monkeypatch):
    """`made = arms(norm=(best, least, most), ...)`: how an arm behaves, and the runs made.

    In a range test its loss falls up to the rate `best`, and rises after it. At a constant rate it
    trains from `least` to `most`, and diverges at ten times as much.
    """

    def behave(**norms):
        made = []

        def run(grid, study_dir, **options):
            made.extend(grid)
            return [_write(one, study_dir, *norms[one.norm]) for one in grid]

        monkeypatch.setattr(range_test, "run", run)
        return made

    return behave


def _write(settings, study_dir, best, least, most):
    steps, state = settings.steps, "done"
    if settings.schedule == "range":
        rates = [settings.lr * 10 ** (-4 * (1 - step / steps)) for step in range(steps)]
        losses = [1 + abs(math.log10(rate / best)) for rate in rates]
        accuracies = [0.1] * steps
    elif settings.lr > 9 * most:
        losses, accuracies, state = [2.0, math.nan], [0.9, 0.9], "diverged"
    else:
        losses, accuracies = [1.0] * steps, [0.9 if least <= settings.lr <= most else 0.1] * steps
    with RunDir(study_dir / settings.run_id) as run:
        run.start(
            {
                "study": study_dir.name,
                "run": settings.run_id,
                "settings": settings.to_dict(),
                "data": {"classes": 10},
            }
        )
        for step, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True)):
            run.append({"step": step, "kind": "train", "loss": loss, "accuracy": accuracy})
        run.set_status(state, steps=len(losses))
    return study.Outcome(settings, state)


def rates(grid):
    return {settings.norm: settings.lr for settings in grid}


def test_the_arm_that_bears_least_decides(arms, tmp_path):
    made = arms(none=(0.34, 0.01, 0.2), bn=(1.7, 0, 5.0))
    grid = study.grid(norm=["none", "bn"], seed=[3, 4], steps=900, probes=("ics",))
    found, table = range_test.find(grid, tmp_path / "x")
    # The range test is true to the place of its minimum, to one of its 200 steps: 4.7 %.
    best = table.set_index("norm")["best"]
    assert best["none"] == pytest.approx(0.34, rel=0.05)
    assert best["bn"] == pytest.approx(1.7, rel=0.05)
    # 0.34 is rounded down to 0.2, at which both train.
    assert {one.lr for one in found} == {0.2}
    assert [(one.norm, one.seed, one.steps, one.probes) for one in found] == [
        (one.norm, one.seed, 900, ("ics",)) for one in grid
    ]
    assert table.set_index("norm")["trains"].to_dict() == {"none": 0.2, "bn": 0.2}
    # One range test from 0.001 to 10 for each arm and one trial, with the first seed and no probe.
    assert [(one.norm, one.lr, one.schedule) for one in made] == [
        ("none", 10.0, "range"),
        ("bn", 10.0, "range"),
        ("none", 0.2, "constant"),
        ("bn", 0.2, "constant"),
    ]
    assert {(one.seed, one.probes) for one in made} == {(3, ())}
    assert [one.steps for one in made] == [200, 200, 500, 500]


@pytest.mark.parametrize(("least", "rate"), [(0.1, 0.1), (0.15, 0.2)])
def test_at_the_edge_one_step_less_is_taken_if_it_trains_there(arms, tmp_path, least, rate):
    made = arms(none=(0.6, least, 0.2), bn=(3.0, 0, 5.0))
    found, table = range_test.find(study.grid(norm=["none", "bn"]), tmp_path / "x")
    trials = [(one.norm, one.lr) for one in made if one.schedule == "constant"]
    assert trials == [("none", 0.5), ("bn", 0.5), ("none", 0.2), ("none", 0.1)]
    assert table.set_index("norm")["trains"].to_dict() == {"none": 0.2, "bn": 0.5}
    assert rates(found) == {"none": rate, "bn": rate}


def test_an_arm_that_trains_at_no_rate_has_no_say(arms, tmp_path):
    # 0.5 diverges, 0.2 to 0.05 do not train.
    made = arms(bn=(0.6, 0, 5.0), noisy_none=(2.0, 0, 0.01))
    found, table = range_test.find(study.grid(norm=["bn", "noisy_none"]), tmp_path / "x")
    trials = [one.lr for one in made if one.norm == "noisy_none" and one.schedule == "constant"]
    assert trials == [0.5, 0.2, 0.1, 0.05]
    assert math.isnan(table.set_index("norm")["trains"]["noisy_none"])
    assert rates(found) == {"bn": 0.5, "noisy_none": 0.5}


def test_if_no_arm_trains_there_is_no_rate(arms, tmp_path):
    arms(none=(0.02, 0, 1e-6))
    with pytest.raises(SettingsError, match=r"at any of 0\.02, 0\.01, 0\.005, 0\.002 in a short"):
        range_test.find(study.grid(norm=["none"]), tmp_path / "x")


def test_every_model_has_its_own_rate_and_its_own_range(arms, tmp_path):
    made = arms(bn=(0.06, 0, 1.0))
    grid = study.grid(norm=["bn"], model=["mlp", "dln"])
    # The range test of the deep linear network ends at 1e-4: best where it ends.
    found, _ = range_test.find(grid, tmp_path / "x")
    assert {one.model: one.lr for one in found} == {"mlp": 0.05, "dln": 5e-5}
    assert [one.lr for one in made if one.schedule == "range"] == [10.0, 1e-4]
    assert [one.steps for one in made if one.schedule == "range"] == [200, 4000]


def test_the_range_of_an_adaptive_optimizer_is_around_its_usual_rate(arms, tmp_path):
    made = arms(bn=(0.003, 0, 1.0))
    found, _ = range_test.find(
        study.grid(norm=["bn"], optimizer="adam", schedule="cosine", warmup=240, steps=240),
        tmp_path / "x",
    )
    assert rates(found) == {"bn": 0.002}
    test, trial = made
    assert (test.lr, test.schedule, test.warmup) == (0.1, "range", 0)
    # The trial is as the run will be, but shorter.
    assert (trial.schedule, trial.warmup, found[0].warmup) == ("cosine", 120, 240)


def test_what_ends_a_short_run_ends_the_search(monkeypatch, tmp_path):
    (settings,) = grid = study.grid(norm=["bn"])
    for state, error in (("failed", RunFailed), ("interrupted", KeyboardInterrupt)):
        outcome = study.Outcome(settings, state, "no such thing")
        monkeypatch.setattr(range_test, "run", lambda *a, outcome=outcome, **k: [outcome])
        with pytest.raises(error, match="no such thing" if state == "failed" else None):
            range_test.find(grid, tmp_path / "x")


def test_without_a_finite_loss_there_is_no_range(monkeypatch, tmp_path):
    def run(grid, study_dir, **options):
        (settings,) = grid
        with RunDir(study_dir / settings.run_id) as directory:
            directory.start({"study": "x", "run": "y", "settings": settings.to_dict()})
            directory.append({"step": 0, "kind": "train", "loss": math.nan})
            directory.set_status("diverged", steps=1)
        return [study.Outcome(settings, "diverged")]

    monkeypatch.setattr(range_test, "run", run)
    with pytest.raises(RunFailed, match="no loss was finite"):
        range_test.find(study.grid(norm=["bn"]), tmp_path / "x")


def test_the_same_search_finds_its_runs_again(tmp_path):
    grid = study.grid(**TINY | {"norm": ["none"], "lr": None, "steps": 3000})
    said = []
    found, table = range_test.find(grid, tmp_path / "x", progress=False, show=said.append)
    (row,) = table.to_dict("records")
    assert 1e-8 < row["best"] <= 1e-4 and row["lr"] == found[0].lr <= row["trains"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "x").rglob("*.json*")}
    again, _ = range_test.find(grid, tmp_path / "x", progress=False)
    assert again == found
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "x").rglob("*.json*")}
    assert said[0] == f"range tests of none, into {tmp_path / 'x'}"
