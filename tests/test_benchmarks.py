"""The scripts in `benchmarks/` that need what most machines do not have."""

import pathlib
import runpy
import sys

import pytest
import tensorflow as tf

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"


def test_without_a_gpu_its_benchmark_says_so_in_one_line(capsys, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(BENCHMARKS / "gpu.py"), run_name="__main__")
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("gpu.py: there is no GPU here")
    assert shown.err.count("\n") == 1
