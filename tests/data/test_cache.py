import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bnkit.data.cache import cache_root, cached, empty_split
from bnkit.data.dataset import DataError

KEY = {"name": "toy/set:1.0", "seed": 0}


class Build:
    """Fills two small splits and counts how often it was asked to."""

    def __init__(self, seconds=0.0):
        self.calls = 0
        self.seconds = seconds

    def __call__(self, directory):
        self.calls += 1
        time.sleep(self.seconds)
        generator = np.random.default_rng(0)
        for name, size in (("train", 6), ("test", 4)):
            split = empty_split(directory, name, size, (2, 2, 1))
            split.x[:] = generator.integers(0, 256, split.x.shape)
            split.y[:] = np.arange(size) % 2
        return 2


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def finished(root):
    return [path for path in root.iterdir() if path.is_dir()]


def test_built_once_and_memory_mapped(root):
    build = Build()
    first, second = cached(KEY, build), cached(dict(reversed(KEY.items())), build)
    assert build.calls == 1
    assert first.name == second.name == "toy/set:1.0"
    assert first.fingerprint == second.fingerprint
    assert (first.mean, first.deviation) == (second.mean, second.deviation)
    np.testing.assert_array_equal(first.train.x, second.train.x)
    for array in (second.train.x, second.train.y, second.test.x, second.test.y):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
    (directory,) = finished(root)
    assert directory.name.startswith("toy-set-1.0-")


def test_another_key_is_another_set(root):
    build = Build()
    cached(KEY, build)
    cached(KEY | {"seed": 1}, build)
    assert build.calls == 2
    assert len(finished(root)) == 2


@pytest.mark.parametrize("crash", [RuntimeError, KeyboardInterrupt])
def test_a_crash_leaves_nothing(root, crash):
    def crashing(directory):
        Build()(directory)
        raise crash("in the middle")

    with pytest.raises(crash, match="in the middle"):
        cached(KEY, crashing)
    assert finished(root) == []
    build = Build()
    cached(KEY, build)
    assert build.calls == 1


def test_leftovers_of_a_killed_process_are_cleaned_up(root):
    cached(KEY, Build())
    (directory,) = finished(root)
    directory.rename(f"{directory}.unfinished")
    (Path(f"{directory}.unfinished") / "rubbish").touch()
    build = Build()
    cached(KEY, build)
    assert build.calls == 1
    assert finished(root) == [directory]
    assert not (directory / "rubbish").exists()


def test_invalid_content_is_refused(root):
    def mislabelled(directory):
        Build()(directory)
        return 1

    with pytest.raises(DataError, match=r"0 to 0. Received: labels from 0 to 1"):
        cached(KEY, mislabelled)
    assert finished(root) == []


@pytest.mark.parametrize("name", ["dataset.json", "train_x.npy", "train_y.npy", "test_y.npy"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "overwritten"])
def test_a_damaged_set_is_rebuilt(root, name, damage):
    build = Build()
    fingerprint = cached(KEY, build).fingerprint
    (directory,) = finished(root)
    file = directory / name
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes({"empty": b"", "cut": content[:-5], "overwritten": b"[]"}[damage])
    assert cached(KEY, build).fingerprint == fingerprint
    assert build.calls == 2
    cached(KEY, build)
    assert build.calls == 2


def test_threads_at_once_build_once():
    build, fingerprints = Build(seconds=0.2), []
    threads = [
        threading.Thread(target=lambda: fingerprints.append(cached(KEY, build).fingerprint))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.calls == 1
    assert len(fingerprints) == 4
    assert len(set(fingerprints)) == 1


def test_processes_at_once_build_once(tmp_path):
    program = (
        "import sys, test_cache as t\n"
        "build = t.Build(seconds=0.5)\n"
        "print(t.cached(t.KEY, build).fingerprint, build.calls)\n"
    )
    folders = (str(Path(__file__).parents[2]), str(Path(__file__).parent))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", program]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=30)[0].split() for process in processes]
    assert answers[0][0] == answers[1][0]
    assert sorted(calls for _, calls in answers) == ["0", "1"]


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("BNKIT_CACHE_DIR")
    assert cache_root() == tmp_path / "xdg" / "bnkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / "home" / ".cache" / "bnkit"


def test_unwritable_directory_is_named(root, monkeypatch):
    root.write_text("a file, where the directory should be")
    with pytest.raises(DataError, match=f"{root} cannot be written; set BNKIT_CACHE_DIR"):
        cached(KEY, Build())
    root.unlink()
    # The test may run as a user who may write anywhere, so the answer is given for the system.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match=f"{root} cannot be written.* Received: no permission"):
        cached(KEY, Build())


def test_a_full_disk_is_noticed_before_writing(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(DataError, match=r"train split.* BNKIT_CACHE_DIR .*Received: 0.00 GB free"):
        cached(KEY, Build())
