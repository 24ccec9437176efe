"""Built once, verified at each opening, and built again if a single byte is wrong."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from bnkit.data.cache import cache_root, cached, empty_split, limit
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


@pytest.fixture
def root(tmp_path):
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


DAMAGES = {
    "missing": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-5]),
    "a list": lambda file: file.write_bytes(b"[]"),
    "a zip file": lambda file: file.write_bytes(b"PK\x03\x04" + file.read_bytes()[4:]),
    "a directory": lambda file: (file.unlink(), file.mkdir()),
    "a dangling link": lambda file: (file.unlink(), file.symlink_to("elsewhere")),
}


@pytest.mark.parametrize("name", ["dataset.json", "train_x.npy", "train_y.npy", "test_y.npy"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_set_is_rebuilt_with_a_word(root, name, damage, caplog):
    build = Build()
    fingerprint = cached(KEY, build).fingerprint
    (directory,) = finished(root)
    DAMAGES[damage](directory / name)
    assert caplog.messages == []
    assert cached(KEY, build).fingerprint == fingerprint
    assert build.calls == 2
    (message,) = caplog.messages
    assert message.startswith(f"The cached data set 'toy/set:1.0' in {directory} is damaged (")
    assert message.endswith("); it is built again")
    cached(KEY, build)
    assert build.calls == 2


def contents(dataset):
    arrays = (dataset.train.x, dataset.train.y, dataset.test.x, dataset.test.y)
    facts = (dataset.classes, dataset.fingerprint, dataset.mean, dataset.deviation)
    return [(array.shape, array.dtype.str, array.tobytes()) for array in arrays], facts


@pytest.mark.parametrize("name", ["dataset.json", "train_x.npy", "train_y.npy", "test_x.npy"])
def test_no_changed_byte_passes(root, name):
    """Every byte of a file in turn: either the set is built again, or the byte said nothing, such
    as a space in NumPy's header or the 17th digit of a mean."""
    build = Build()
    expected = contents(cached(KEY, build))
    (directory,) = finished(root)
    file = directory / name
    original = file.read_bytes()
    silent = []
    for position in range(len(original)):
        changed = bytearray(original)
        changed[position] ^= 1
        file.write_bytes(changed)
        calls = build.calls
        assert contents(cached(KEY, build)) == expected
        if build.calls == calls:
            silent.append(position)
    if name.endswith(".npy"):
        assert all(position < 128 for position in silent)  # The header's own length.
    else:
        # The letters of "checksum", and a few last digits of the statistics.
        assert len(silent) < len("checksum") + 10


def test_sets_of_earlier_versions_are_read_and_their_arrays_verified(root):
    build = Build()
    expected = contents(cached(KEY, build))
    (directory,) = finished(root)
    facts = json.loads((directory / "dataset.json").read_text())
    del facts["checksum"]
    (directory / "dataset.json").write_text(json.dumps(facts))
    assert contents(cached(KEY, build)) == expected
    assert build.calls == 1
    content = bytearray((directory / "test_x.npy").read_bytes())
    content[-1] ^= 128
    (directory / "test_x.npy").write_bytes(content)
    assert contents(cached(KEY, build)) == expected
    assert build.calls == 2


@pytest.mark.parametrize("replacement", [Path.touch, lambda path: path.symlink_to("../mine")])
def test_something_else_in_the_place_of_a_set(root, replacement):
    build = Build()
    fingerprint = cached(KEY, build).fingerprint
    (directory,) = finished(root)
    shutil.rmtree(directory)
    (root.parent / "mine").mkdir()
    (root.parent / "mine" / "file").touch()
    replacement(directory)
    assert cached(KEY, build).fingerprint == fingerprint
    assert not directory.is_symlink()
    assert (root.parent / "mine" / "file").exists()


def test_an_error_that_is_not_damage_removes_nothing(root, monkeypatch):
    build = Build()
    cached(KEY, build)

    def fails(*args, **kwargs):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "open_memmap", fails)
        with pytest.raises(DataError, match=f"{root} cannot be read.*Received: .*Too many open"):
            cached(KEY, build)
    cached(KEY, build)
    assert build.calls == 1


def test_a_set_that_cannot_be_read_back_is_an_error(root, monkeypatch):
    monkeypatch.setattr("bnkit.data.cache._checksum", lambda facts: str(time.monotonic_ns()))
    with pytest.raises(DataError, match=r"damaged .*dataset.json must have checksum"):
        cached(KEY, Build())


def start(seconds):
    """A process that asks for the set, and says its fingerprint and how often it built it."""
    program = (
        "import sys, test_cache as t\n"
        f"build = t.Build(seconds={seconds})\n"
        "print(t.cached(t.KEY, build).fingerprint, build.calls)\n"
    )
    folders = (str(Path(__file__).parents[2]), str(Path(__file__).parent))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("before", ["nothing", "a damaged set"])
def test_processes_at_once_build_once(root, before):
    if before != "nothing":
        cached(KEY, Build())
        (directory,) = finished(root)
        DAMAGES["cut"](directory / "train_x.npy")
    processes = [start(seconds=0.5) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert answers[0][0] == answers[1][0]
    assert sorted(calls for _, calls in answers) == ["0", "1"]
    assert len(finished(root)) == 1


def test_a_process_goes_on_where_the_one_that_built_is_killed(root):
    killed = start(seconds=600)
    deadline = time.monotonic() + 60
    while not list(root.glob("*.unfinished")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    waiting = start(seconds=0)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    fingerprint, calls = waiting.communicate(timeout=60)[0].split()
    assert calls == "1"
    assert cached(KEY, Build()).fingerprint == fingerprint
    assert list(root.glob("*.unfinished")) == []


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("BNKIT_CACHE_DIR")
    assert cache_root() == tmp_path / "xdg" / "bnkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / "home" / ".cache" / "bnkit"


def test_unwritable_directory_is_named(root):
    root.write_text("a file, where the directory should be")
    with pytest.raises(DataError, match=f"{root} cannot be read or written; set BNKIT_CACHE_DIR"):
        cached(KEY, Build())


def test_a_lock_that_cannot_be_taken(root):
    cached(KEY, Build())
    (lock,) = root.glob("*.lock")
    (directory,) = finished(root)
    lock.unlink(missing_ok=True)
    lock.mkdir()
    # A set that is there and sound needs no lock.
    build = Build()
    cached(KEY, build)
    shutil.rmtree(directory)
    with pytest.raises(DataError, match=f"{root} cannot be read or written.* Received: IsADir"):
        cached(KEY, build)
    assert build.calls == 0


def test_a_full_disk_is_noticed_before_writing(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(DataError, match=r"may hold 5e-09 GB.* BNKIT_CACHE_DIR .*: the train split"):
        cached(KEY, Build())


# Of the toy set: four arrays with headers of 128 bytes, 10 images and labels; and its description.
ARRAYS_OF_TOY = 4 * 128 + 10 * 4 + 10 * 4


def test_a_new_set_takes_the_room_of_the_one_not_opened_for_the_longest_time(
    root, monkeypatch, caplog
):
    caplog.set_level("INFO")
    for seed in range(3):
        cached(KEY | {"seed": seed}, Build())
    sets = {json.loads(path.read_text())["key"]["seed"]: path for path in root.glob("*/*.json")}
    for age, seed in enumerate((1, 0, 2)):
        os.utime(sets[seed].parent, (1e9 + age, 1e9 + age))
    opened = cached(KEY | {"seed": 1}, None)  # Now the youngest.
    # Room for three sets, and not for four.
    of_a_set = ARRAYS_OF_TOY + sets[0].stat().st_size
    monkeypatch.setenv("BNKIT_CACHE_GB", str(3.1 * of_a_set / 1e9))
    cached(KEY | {"seed": 3}, Build())
    left = {json.loads(path.read_text())["key"]["seed"] for path in root.glob("*/*.json")}
    assert left == {1, 2, 3}
    (message,) = caplog.messages
    assert message == f"{sets[0].parent} is removed from the data cache, to make room"
    # Who has a set open keeps it: its pages are freed when it is closed.
    before = opened.train.x.copy()
    monkeypatch.setenv("BNKIT_CACHE_GB", str(1.1 * of_a_set / 1e9))
    cached(KEY | {"seed": 4}, Build())
    assert [path.parent for path in root.glob("*/*.json")] == finished(root)
    assert len(finished(root)) == 1
    np.testing.assert_array_equal(opened.train.x, before)


def test_a_set_that_is_being_built_is_not_removed(root, monkeypatch):
    first, second = (Build() for _ in range(2))
    cached(KEY, first)
    (directory,) = finished(root)
    monkeypatch.setenv("BNKIT_CACHE_GB", str(1.5 * ARRAYS_OF_TOY / 1e9))
    with FileLock(f"{directory}.lock"):
        cached(KEY | {"seed": 1}, second)
    assert directory in finished(root)


@pytest.mark.parametrize("gigabytes", ["-1", "much", "inf", "nan"])
def test_the_bound_is_a_number(gigabytes, monkeypatch):
    monkeypatch.setenv("BNKIT_CACHE_GB", gigabytes)
    with pytest.raises(DataError, match=rf"BNKIT_CACHE_GB must be a number >= 0.*'{gigabytes}'"):
        cached(KEY, Build())


def test_what_is_larger_than_the_bound_removes_nothing(root, monkeypatch):
    cached(KEY, Build())
    monkeypatch.setenv("BNKIT_CACHE_GB", "1e-8")
    with pytest.raises(DataError, match=r"may hold 1e-08 GB; set BNKIT_CACHE_GB to more"):
        cached(KEY | {"seed": 1}, Build())
    assert len(finished(root)) == 1


def test_by_default_half_of_what_the_disk_has(root, monkeypatch):
    cached(KEY, Build())
    used = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9 - used))
    assert limit() == 10**9 / 2
    monkeypatch.setenv("BNKIT_CACHE_GB", "0.25")
    assert limit() == 0.25 * 10**9
    monkeypatch.setenv("BNKIT_CACHE_GB", "2")
    assert limit() == 10**9
