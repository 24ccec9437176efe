"""What a study does with a run that is damaged on disk: a table, file by damage."""

import json

import pytest
from damages import DAMAGES, FILES
from study_runs import TINY, end, read

from bnkit import study
from bnkit.store import RunError
from bnkit.study import launch, process


@pytest.fixture
def started(monkeypatch):
    """The settings of the processes that `study.run` starts; none of them does anything."""
    settings_of = []

    class Nothing:
        has_ended = True

        def __init__(self, settings, study_dir, **options):
            settings_of.append(settings)
            self.settings = settings

        def result(self):
            return "made", "", 1.0

    monkeypatch.setattr(launch, "Process", Nothing)
    return settings_of


# What of a run that is done can be lost without harm: it is measured again, or refused once the
# run itself looks for its checkpoint.
TO_DO = {
    *((file, "deleted") for file in FILES),
    ("metrics.jsonl", "empty"),
}
STILL_DONE = {
    # What is lost of the records, the report says.
    ("metrics.jsonl", "truncated"),
    *((file, "a link to where it was moved") for file in FILES),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_run_is_that_runs_failure(file, damage, tmp_path, started, caplog):
    grid = study.grid(**TINY | {"seed": [0, 1, 2]})
    directory = end(tmp_path, grid[0], "done", steps=30)
    end(tmp_path, grid[1], "done", steps=30)
    DAMAGES[damage](directory / file)
    before = {path: path.lstat().st_mtime_ns for path in directory.iterdir()}
    first, second, third = study.run(grid, tmp_path, progress=False)
    assert (second.state, third.state) == ("done", "made")
    if (file, damage) in TO_DO:
        assert first.state == "made" and started == [grid[0], grid[2]]
        return
    assert started == [grid[2]]
    if (file, damage) in STILL_DONE:
        assert first.state == "done"
        return
    assert first.state == "failed" and first.reason.startswith(str(directory / file))
    assert f"{grid[0].run_id} failed: {first.reason}" in caplog.text
    # It is left as it is.
    assert {path: path.lstat().st_mtime_ns for path in directory.iterdir()} == before
    with pytest.raises(RunError, match=file):
        study.state(grid[0], tmp_path)
    assert study.state(grid[0], tmp_path, resume=False) == "to do"


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_of_a_newer_version_is_not_touched(resume, tmp_path, started):
    (settings,) = study.grid(**TINY)
    directory = end(tmp_path, settings, "done", steps=30)
    description = read(directory, "settings.json")
    (directory / "settings.json").write_text(json.dumps({**description, "format": 2}))
    before = {path: path.read_bytes() for path in directory.iterdir()}
    (outcome,) = study.run([settings], tmp_path, resume=resume, progress=False)
    assert outcome.state == "failed" and "newer version" in outcome.reason and not started
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_what_is_in_the_way_of_a_run_is_that_runs_failure(tmp_path):
    grid = study.grid(**TINY | {"seed": [0, 1], "steps": 1, "eval_every": 1})
    (tmp_path / grid[0].run_id).write_text("a file where the directory should be")
    failed, done = study.run(grid, tmp_path, progress=False)
    assert (failed.state, done.state) == ("failed", "done")
    assert str(tmp_path / grid[0].run_id) in failed.reason
    assert (tmp_path / grid[0].run_id).read_text() == "a file where the directory should be"


def test_a_run_without_a_status_at_its_end_has_failed(tmp_path):
    (settings,) = study.grid(**TINY)
    run = process.Process.__new__(process.Process)
    run.directory = end(tmp_path, settings, "done")
    assert run._status() == ("done", "")
    (run.directory / "status.json").write_text("{")
    assert run._status()[0] == "failed" and "damaged" in run._status()[1]
    (run.directory / "status.json").unlink()
    assert run._status() == ("failed", f"{run.directory} has no status: was it deleted or moved?")
