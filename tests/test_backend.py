"""Another backend of Keras than TensorFlow ends in one clear line."""

import json
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
    import os

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
