"""The estimate of a study's time, from two short runs of each kind."""

import pytest

from bnkit import study
from bnkit.settings import Settings
from bnkit.store import RunDir
from bnkit.study import timing


def end(study_dir, settings, state, *, steps=0, **status):
    """Leaves the description and the status that a run of these settings ends with."""
    with RunDir(study_dir / settings.run_id) as run:
        run.start({"study": study_dir.name, "run": settings.run_id})
        run.set_status(state, steps=steps, **status)


def test_the_cost_of_a_run_counts_what_it_will_do():
    cost = timing.Cost(10.0, 0.1, 2.0, 1.0, parameters=7, forward_flop=5, peak_bytes=3)
    settings = Settings(steps=100, probe_every=25, eval_every=40)
    # Probes at 0, 25, 50, 75; evaluations at 0, 40, 80 and 100. The start has one and two of them.
    assert cost.estimate(settings).seconds == pytest.approx(10 + 99 * 0.1 + 3 * 2 + 2 * 1)
    # From step 60: one probe, at 75; evaluations at 80 and 100.
    assert cost.estimate(settings, made=60).seconds == pytest.approx(10 + 39 * 0.1)


@pytest.mark.parametrize(
    ("seconds", "jobs", "expected"),
    [([], 1, 0), ([1, 2, 3], 1, 6), ([3, 1, 1, 1], 2, 3), ([1, 1, 4], 2, 5), ([5, 1], 4, 5)],
)
def test_the_next_run_starts_where_a_place_is_free(seconds, jobs, expected):
    assert timing.in_all(seconds, jobs) == expected


def test_the_estimate_is_what_two_short_runs_of_each_kind_tell(tmp_path, monkeypatch):
    made = []
    measured = {"peak_bytes": 3 * 10**8}
    described = {"parameters": 500, "forward_flop": 1000}
    monkeypatch.setattr(timing, "read_description", lambda directory: described)

    def run(grid, study_dir, *, jobs, data_dir, input, progress):
        assert (jobs, data_dir, input) == (2, "data", "streamed")
        assert study_dir.parent != tmp_path
        made.extend(grid)
        outcomes = []
        for settings in grid:
            if settings.norm == "bn":
                outcomes.append(study.Outcome(settings, "failed", "no such thing", 3.0))
                continue
            # 0.5 s a step, 2 s all probes together, 1 s an evaluation; 5 s in the first call.
            probes, evaluations = -(-settings.steps // settings.probe_every), 1
            evaluations += -(-settings.steps // settings.eval_every)
            seconds = {"data": 1.0, "compile": 4.0, "train": 0.5 * (settings.steps - 1)}
            seconds |= {"landscape": 1.5 * probes, "ics": 0.5 * probes, "evaluate": evaluations}
            end(study_dir, settings, "done", seconds=seconds | {"total": 99.0}, **measured)
            outcomes.append(study.Outcome(settings, "done", seconds=20.0))
        return outcomes

    monkeypatch.setattr(timing, "run", run)
    arms = study.grid(norm=["none", "bn"], lr=[0.1, 0.5], seed=[0, 1], steps=101, probe_every=50)
    states = dict.fromkeys(arms, "to do")
    estimates = timing.estimate(
        states, tmp_path, jobs=2, data_dir="data", input="streamed", progress=False
    )
    assert len(made) == 4  # two for each normalisation, whatever the learning rate and the seed
    # 101 steps, probes at 0, 50, 100, evaluations at 0, 50, 100 and 101.
    expected = 20 + 100 * 0.5 + 2 * 2 + 2 * 1
    for settings in arms:
        if settings.norm == "bn":
            assert estimates[settings] is None
            continue
        found = estimates[settings]
        assert found.seconds == pytest.approx(expected)
        assert found.probes == pytest.approx(3 * 2 / expected)
        assert (found.parameters, found.peak_bytes) == (500, 3 * 10**8)
        # Of 128 samples; a landscape of 8 sizes, covariate shift, activations.
        assert found.step_flop == 3 * 128 * 1000
        assert found.capture_flop == (9 + 3 + 1) * 3 * 128 * 1000


def test_the_estimate_of_a_run_to_go_on_with_is_of_what_is_left(tmp_path, monkeypatch):
    settings = Settings(steps=100)
    end(tmp_path, settings, "interrupted", steps=60)
    monkeypatch.setattr(
        timing, "run", lambda grid, *a, **k: [study.Outcome(s, "done") for s in grid]
    )
    monkeypatch.setattr(timing, "_cost", lambda *a: timing.Cost(10.0, 1.0, 0.0, 0.0, 0, 0, 0))
    assert timing.estimate({settings: "resume"}, tmp_path)[settings].seconds == 10 + 39
    assert timing.estimate({settings: "to do"}, tmp_path)[settings].seconds == 10 + 99


@pytest.mark.parametrize(("model", "steps"), [("vgg16", 5), ("dln", 100)])
def test_short_runs_are_as_long_as_the_model_needs(model, steps, tmp_path, monkeypatch):
    made = []

    def run(grid, *arguments, **options):
        made.extend(grid)
        return [study.Outcome(settings, "failed") for settings in grid]

    monkeypatch.setattr(timing, "run", run)
    settings = Settings(model=model, lr=0.5, seed=3, probe_every=7, eval_every=9)
    assert timing.estimate({settings: "to do"}, tmp_path) == {settings: None}
    one, more = made
    assert (one.steps, more.steps) == (1, 3 * steps)
    assert {(s.model, s.lr, s.seed, s.probe_every, s.eval_every) for s in made} == {
        (model, 1e-9, 0, steps, steps)
    }
