"""The grid of a study, and the estimate of its time."""

import pytest
from study_runs import TINY, end

from bnkit import study
from bnkit.settings import Settings, SettingsError
from bnkit.study import timing

# --- the grid ---


def test_every_combination_is_one_run_all_arms_of_a_seed_first():
    grid = study.grid(norm=["none", "bn"], lr=(0.1, 0.5), seed=[0, 1], steps=7)
    assert [(s.seed, s.norm, s.lr) for s in grid] == [
        (seed, norm, lr) for seed in (0, 1) for norm in ("none", "bn") for lr in (0.1, 0.5)
    ]
    assert {s.steps for s in grid} == {7} and len({s.run_id for s in grid}) == 8


def test_a_value_that_is_no_list_is_not_varied():
    assert study.grid(norm="bn", lr=0.5) == [Settings(norm="bn", lr=0.5)]
    assert study.grid(probes=["ics"], step_sizes=[0.1, 0.2]) == [
        Settings(probes=("ics",), step_sizes=(0.1, 0.2))
    ]


def test_what_is_not_chosen_follows_from_each_model():
    vgg, linear = study.grid(model=["vgg11", "dln"], lr=None)
    assert (vgg, linear) == (Settings(), Settings(model="dln"))
    assert (vgg.lr, linear.lr, vgg.batch_size, linear.batch_size) == (0.1, 1e-6, 128, 1000)


@pytest.mark.parametrize(
    ("choices", "field", "value"),
    [
        ({"lr": [0.1, -1]}, "lr", -1),
        ({"norm": ["bn", "b n"]}, "norm", "b n"),
        ({"seed": [0, 1, 0]}, "seed", (0, 1, 0)),
        ({"width": [1, 1.0]}, "width", (1, 1.0)),
        ({"lr": []}, "lr", ()),
        ({"model": ["dln", "vgg11"], "samples": 20}, "samples", 20),
    ],
)
def test_a_wrong_entry_of_a_list_is_named(choices, field, value):
    with pytest.raises(SettingsError) as caught:
        study.grid(**choices)
    assert (caught.value.field, caught.value.value) == (field, value)


# --- the estimate of the time ---


def test_the_cost_of_a_run_counts_what_it_will_do():
    cost = timing.Cost(start=10.0, step=0.1, probes=2.0, evaluation=1.0)
    settings = Settings(**TINY | {"steps": 100, "probe_every": 25, "eval_every": 40})
    # Probes at 0, 25, 50, 75; evaluations at 0, 40, 80 and 100. The start has one and two of them.
    assert cost.seconds(settings) == pytest.approx(10 + 99 * 0.1 + 3 * 2 + 2 * 1)
    # From step 60: one probe, at 75; evaluations at 80 and 100.
    assert cost.seconds(settings, made=60) == pytest.approx(10 + 39 * 0.1)


@pytest.mark.parametrize(
    ("seconds", "jobs", "expected"),
    [([], 1, 0), ([1, 2, 3], 1, 6), ([3, 1, 1, 1], 2, 3), ([1, 1, 4], 2, 5), ([5, 1], 4, 5)],
)
def test_the_next_run_starts_where_a_place_is_free(seconds, jobs, expected):
    assert timing.in_all(seconds, jobs) == expected


def test_the_estimate_is_what_two_short_runs_of_each_kind_tell(tmp_path, monkeypatch):
    made = []

    def run(grid, study_dir, *, jobs, data_dir, progress):
        assert (jobs, data_dir) == (2, "data") and study_dir.parent != tmp_path
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
            end(study_dir, settings, "done", seconds=seconds | {"total": 99.0})
            outcomes.append(study.Outcome(settings, "done", seconds=20.0))
        return outcomes

    monkeypatch.setattr(timing, "run", run)
    arms = study.grid(norm=["none", "bn"], lr=[0.1, 0.5], seed=[0, 1], steps=101, probe_every=50)
    states = dict.fromkeys(arms, "to do")
    estimates = timing.estimate(states, tmp_path, jobs=2, data_dir="data", progress=False)
    assert len(made) == 4  # two for each normalisation, whatever the learning rate and the seed
    # 101 steps, probes at 0, 50, 100, evaluations at 0, 50, 100 and 101.
    expected = 20 + 100 * 0.5 + 2 * 2 + 2 * 1
    for settings in arms:
        wanted = None if settings.norm == "bn" else pytest.approx(expected)
        assert estimates[settings] == wanted


def test_the_estimate_of_a_run_to_go_on_with_is_of_what_is_left(tmp_path, monkeypatch):
    settings = Settings(**TINY | {"steps": 100})
    end(tmp_path, settings, "interrupted", steps=60)
    monkeypatch.setattr(
        timing, "run", lambda grid, *a, **k: [study.Outcome(s, "done") for s in grid]
    )
    monkeypatch.setattr(timing, "_cost", lambda *a: timing.Cost(10.0, 1.0, 0.0, 0.0))
    assert timing.estimate({settings: "resume"}, tmp_path)[settings] == 10 + 39
    assert timing.estimate({settings: "to do"}, tmp_path)[settings] == 10 + 99
