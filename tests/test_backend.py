"""What is decided before Keras and TensorFlow are loaded."""

import gc
import json
import os
import pathlib
import subprocess
import sys

import pytest

from bnkit import backend


def test_tensorflow_is_what_is_loaded_here():
    import keras

    assert keras.config.backend() == "tensorflow"
    backend.require_tensorflow()


@pytest.fixture
def unloaded(monkeypatch, tmp_path):
    """As before Keras is loaded, with a configuration of its own."""
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return tmp_path / "keras.json"


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", json.dumps({"backend": "tensorflow"})])
def test_without_another_choice_it_will_be_tensorflow(unloaded, content):
    if content is not None:
        unloaded.write_text(content)
    backend.require_tensorflow()


def test_the_environment_counts_more_than_the_file(unloaded, monkeypatch):
    unloaded.write_text(json.dumps({"backend": "jax"}))
    with pytest.raises(backend.BackendError, match=r"KERAS_BACKEND=tensorflow .*'jax'"):
        backend.require_tensorflow()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    backend.require_tensorflow()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(backend.BackendError, match="'torch'"):
        backend.require_tensorflow()


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax", **environment},
    )


@pytest.mark.parametrize("part", ["layers.BatchNorm", "probes", "models", "callbacks", "training"])
def test_every_part_that_needs_it_says_so(part):
    result = run("-c", f"import bnkit; bnkit.{part}")
    assert result.returncode == 1
    assert "BackendError: bnkit measures with TensorFlow" in result.stderr.splitlines()[-1]


def test_the_command_says_so_in_one_line(tmp_path):
    result = run(
        "-m", "bnkit.main", f"--runs_dir={tmp_path / 'runs'}", f"--reports_dir={tmp_path / 'r'}"
    )
    assert result.returncode == 2 and "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert "KERAS_BACKEND=tensorflow" in line and not list(tmp_path.iterdir())
    assert run("-m", "bnkit.main", "--help").returncode == 0


@pytest.fixture
def before_tensorflow(monkeypatch):
    """As before TensorFlow is loaded, where nobody has decided on its kernels."""
    monkeypatch.delitem(sys.modules, "tensorflow")
    # Set, and not only taken away: so that what the test sets is taken away again.
    monkeypatch.setenv(backend.ONEDNN, "")
    monkeypatch.delenv(backend.ONEDNN)


@pytest.mark.parametrize(
    ("user", "begun_with", "expected"),
    [
        (None, None, "1"),
        ("0", None, "0"),
        ("1", None, "1"),
        # A run that goes on has what it was begun with, whatever else is said now.
        (None, "off", "0"),
        ("1", "off", "0"),
        ("0", "on", "1"),
        # Of a run that does not say, or of an unknown processor.
        (None, "unknown", "1"),
        ("0", "unknown", "0"),
    ],
)
def test_kernels_are_on_unless_the_user_or_the_run_says_otherwise(
    before_tensorflow, monkeypatch, user, begun_with, expected
):
    if user is not None:
        monkeypatch.setenv(backend.ONEDNN, user)
    backend.choose_kernels(begun_with)
    assert os.environ[backend.ONEDNN] == expected
    assert backend.onednn() == {"1": "on", "0": "off"}[expected]


FLAGS = {
    "avx2": "flags\t\t: fpu sse2 avx avx2 fma",
    "vnni": "processor: 0\nflags\t\t: fpu avx2 avx512_vnni fma",
    "none": "processor: 0",
}


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "avx2", "off"),
        ("x86_64", "vnni", "on"),
        ("x86_64", "none", "off"),
        ("aarch64", "vnni", "unknown"),
    ],
)
def test_without_a_choice_the_processor_tells(
    before_tensorflow, monkeypatch, machine, flags, expected
):
    monkeypatch.setattr(backend.platform, "machine", lambda: machine)
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self: FLAGS[flags])
    assert backend.onednn() == expected


def test_once_tensorflow_is_loaded_without_them_a_line_says_how_to_have_them(
    before_tensorflow, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "tensorflow", pathlib)
    monkeypatch.setattr(backend.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self: FLAGS["avx2"])
    backend.choose_kernels()
    (line,) = caplog.messages
    assert 'os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"' in line
    assert backend.ONEDNN not in os.environ
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self: FLAGS["vnni"])
    backend.choose_kernels()
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("user", [{}, {backend.ONEDNN: "0"}])
def test_a_run_says_which_kernels_it_had(tmp_path, user):
    environment = {name: v for name, v in os.environ.items() if name != backend.ONEDNN}
    folders = [f"--runs_dir={tmp_path / 'runs'}", f"--reports_dir={tmp_path / 'reports'}"]
    task = ["--model=dln", "--depth=2", "--samples=20", "--steps=3", "--probes="]
    subprocess.run(
        [sys.executable, "-m", "bnkit.main", *task, *folders],
        check=True,
        capture_output=True,
        env={**environment, **user},
    )
    (path,) = (tmp_path / "runs" / "main").iterdir()
    described = json.loads((path / "settings.json").read_text())
    assert described["device"]["onednn"] == ("off" if user else "on")


@pytest.mark.parametrize(
    ("chosen", "expected"), [("3", 3), (" 12 ", 12), ("0", 5), ("-1", 5), ("many", 5), (None, 5)]
)
def test_threads_are_those_of_the_environment_or_one_for_each_core(monkeypatch, chosen, expected):
    monkeypatch.setattr(backend, "cores", lambda: 5)
    monkeypatch.setenv(backend.THREADS[0], chosen or "")
    if chosen is None:
        monkeypatch.delenv(backend.THREADS[0])
    assert backend.threads() == expected


@pytest.mark.parametrize(("chosen", "expected"), [(None, "true"), ("false", "false")])
def test_gpu_memory_is_taken_as_needed_unless_the_user_has_decided(chosen, expected, monkeypatch):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    if chosen:
        monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", chosen)
    backend.take_gpu_memory_as_needed()
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == expected


def test_while_libraries_load_nothing_is_searched_for_garbage():
    gc.unfreeze()
    with pytest.raises(ImportError), backend.without_garbage_collection():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    assert gc.get_freeze_count()
    gc.disable()
    try:
        with backend.without_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


@pytest.mark.parametrize("skipping, printed", [("", "found\n"), ("skip()", "")])
def test_commands_end_without_a_last_search_for_garbage(skipping, printed):
    script = f"""
from bnkit.backend import skip_garbage_collection_at_exit as skip
class Garbage:
    def __init__(self): self.itself = self
    def __del__(self): print("found")
Garbage()
{skipping}
"""
    assert run("-c", script).stdout == printed
