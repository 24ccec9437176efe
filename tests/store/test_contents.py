import platform
from datetime import datetime, timezone

import bnkit
from bnkit.store import RunDir, contents, describe

SETTINGS = {"norm": "bn", "lr": 0.1, "seed": 0}


def test_a_description_has_all_that_identifies_a_run(tmp_path):
    before = datetime.now(timezone.utc).replace(microsecond=0)
    described = describe(
        tmp_path / "study" / "run",
        SETTINGS,
        data={"classes": None},
        parameters=7,
        command=("a", "b"),
    )
    created = datetime.fromisoformat(described.pop("created"))
    assert before <= created <= datetime.now(timezone.utc)
    versions = described.pop("versions")
    assert versions["bnkit"] == bnkit.__version__
    assert versions["python"] == platform.python_version()
    assert described == {
        "study": "study",
        "run": "run",
        "settings": SETTINGS,
        "command": ["a", "b"],
        "train_mean_over": "step",
        "data": {"classes": None},
        "device": {},
        "parameters": 7,
    }


def test_versions_are_those_of_the_libraries_that_are_loaded(tmp_path):
    import keras
    import numpy as np
    import tensorflow as tf

    versions = describe(tmp_path, {}, data={}, parameters=0)["versions"]
    assert list(versions) == ["bnkit", "python", "tensorflow", "keras", "numpy"]
    found = [versions[name] for name in ("tensorflow", "keras", "numpy")]
    assert found == [tf.__version__, keras.__version__, np.__version__]


def test_what_is_written_has_what_a_reader_needs(tmp_path):
    with RunDir(tmp_path / "study" / "run") as run:
        run.start(describe(run.path, SETTINGS, data={}, parameters=7))
        assert set(run.status) == set(contents.STATUS)
        assert (run.description["study"], run.description["run"]) == ("study", "run")
    assert set(contents.ENDED) < set(contents.STATES)
