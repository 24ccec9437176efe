"""How many runs are made at a time, by the rule worked out by hand."""

import json
import pathlib

import pytest

from bnkit import Settings, backend, memory
from bnkit.store import RunDir, describe
from bnkit.study import jobs


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """`choose(runs, cores, gigabytes, **settings)` on such a machine, without GPUs."""
    monkeypatch.setattr(jobs, "_has_gpus", lambda: False)

    def choose(runs, cores, gigabytes=1000, **settings):
        monkeypatch.setattr(backend, "cores", lambda: cores)
        monkeypatch.setattr(memory, "installed_bytes", lambda: gigabytes and gigabytes * 1e9)
        return jobs.choose([Settings(seed=i, **settings) for i in range(runs)], tmp_path)

    return choose


@pytest.mark.parametrize(
    ("runs", "cores", "expected"),
    [
        (1, 2, 1),
        (6, 2, 2),  # 3 x 1 against 6 x 0.6.
        (3, 2, 1),  # 3 x 0.6 against 2 x 1.
        (6, 4, 2),  # 3 x 0.6, against 6 x 0.4 and 2 x 1.
        (4, 4, 4),  # 1 x 1 against 2 x 0.6 and 4 x 0.4.
        (6, 64, 6),  # Ten threads each.
        (64, 16, 16),
        (5, 1, 1),
    ],
)
def test_the_least_time_in_all(runs, cores, expected, machine):
    assert machine(runs, cores) == expected


def test_the_rule_is_the_least_of_all_by_its_own_formula(machine):
    for cores in (1, 2, 3, 4, 8, 12):
        for runs in range(1, 14):
            found = machine(runs, cores)
            times = {
                j: (runs + j - 1) // j * (0.2 + 0.8 / (cores // j)) for j in range(1, cores + 1)
            }
            assert times[found] == pytest.approx(min(times.values()))
            assert found <= runs


@pytest.mark.parametrize(
    ("gigabytes", "settings", "expected"),
    [
        (16, {}, 4),  # Up to 6, of 2 GB in 12: 6 x 0.6 against 4 x 1.
        (16, {"width": 1.0}, 2),  # 1 + 4 GB.
        (16, {"width": 1.0, "batch_size": 64}, 4),  # 1 + 2 GB.
        (1, {}, 1),
        (None, {}, 8),
        (16, {"model": "dln"}, 4),
    ],
)
def test_runs_fit_into_memory(gigabytes, settings, expected, machine):
    assert machine(24, 8, gigabytes, **settings) == expected


def test_a_study_goes_on_with_the_threads_that_it_was_begun_with(machine, tmp_path):
    directory = tmp_path / Settings(seed=1).run_id
    directory.mkdir()
    assert machine(6, 8) == 6
    settings = Settings(seed=1)
    described = {"command": (), "data": {}, "parameters": 1}
    with RunDir(directory) as run:
        run.start(describe(directory, settings.to_dict(), device={"threads": 4}, **described))
    assert machine(6, 8) == 2
    assert machine(6, 2) == 1
    with RunDir(directory) as run:
        run.start(describe(directory, settings.to_dict(), device={}, **described))
    assert machine(6, 8) == 6
    file = directory / "settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()))[:-5])
    assert machine(6, 8) == 6


def test_one_at_a_time_on_gpus(machine, monkeypatch):
    monkeypatch.setattr(jobs, "_has_gpus", lambda: True)
    assert machine(6, 8) == 1
    assert machine(6, 8, strategy="cpu") == 6


def test_gpus_are_seen_unless_they_are_hidden(monkeypatch):
    monkeypatch.setattr(pathlib.Path, "exists", lambda path: str(path) == "/dev/nvidia0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert jobs._has_gpus()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not jobs._has_gpus()
