"""One run on several workers: real processes on this machine, which speak over loopback.

The long version is `make test-long`.
"""

import contextlib
import functools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from bnkit import Settings, data, experiment

HERE = pathlib.Path(__file__).parent
# One thread: how sums are split between threads is part of what a run is.
ENVIRONMENT = {
    **os.environ,
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "PYTHONPATH": str(HERE.parent.parent),
}
VGG = {
    "model": "vgg11",
    "width": 0.05,
    "batch_size": 24,
    "norm": "bn",
    "sync_norm": True,
    # Without kinks, which turn rounding into jumps.
    "activation": "elu",
    "lr": 0.05,
    "steps": 3,
    "probe_every": 2,
    "eval_every": 2,
    "step_sizes": (0.1, 0.2),
    "probes": ("landscape",),
}
LINEAR = {
    "model": "dln",
    "depth": 3,
    "samples": 48,
    "sync_norm": True,
    # Adam would follow the rounding of the first shift, whose gradient is 0.
    "momentum": 0.9,
    "lr": 1e-5,
    "steps": 1200,
    "probe_every": 400,
    "eval_every": 300,
    "probes": ("ics",),
}


def addresses(count):
    """`host:port` of so many workers, of ports that are free now."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]


def start(folder, settings, count, changes=None):
    """Starts the workers of a run; each is told to write to a folder of its own.

    Args:
        folder: Gets a folder for each worker.
        settings: Name -> value, the flags.
        count: How many.
        changes: Worker -> further flags.
    """
    cluster = {"worker": addresses(count)}
    processes = []
    for index in range(count):
        flags = {**settings, "strategy": "multiworker", "checkpoint_seconds": 0.3}
        flags |= {"runs_dir": folder / f"runs{index}", "reports_dir": folder / f"reports{index}"}
        flags |= (changes or {}).get(index, {})
        task = {"type": "worker", "index": index}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(HERE / "worker.py"), *map(_flag, flags, flags.values())],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**ENVIRONMENT, "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})},
            )
        )
    return processes


def _flag(name, value):
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"--{name}={text}"


def ended(processes, timeout=500):
    """`[(exit code, all that it printed)]` of the workers."""
    deadline = time.monotonic() + timeout
    try:
        outputs = [p.communicate(timeout=deadline - time.monotonic())[0] for p in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, output) for p, output in zip(processes, outputs, strict=True)]


def finish(folder, settings, count):
    """Makes a run to its end; returns what each worker printed."""
    results = ended(start(folder, settings, count))
    assert [code for code, _ in results] == [0] * count, results
    return [output for _, output in results]


def wait_for_step(folder, step, processes):
    """Returns once this step has been recorded."""
    deadline = time.monotonic() + 300
    while True:
        texts = [path.read_text() for path in folder.glob("runs0/main/*/metrics.jsonl")]
        if any(f'"step": {step},' in text for text in texts):
            return
        running = [process.poll() is None for process in processes]
        assert all(running) and time.monotonic() < deadline, ended(processes, 1)
        time.sleep(0.05)


def run_of(folder):
    """The directory of the only run."""
    (directory,) = (folder / "runs0" / "main").iterdir()
    return directory


def records(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def state(directory):
    """Name -> array of the last checkpoint."""
    steps = [int(p.stem.removeprefix("ckpt-")) for p in directory.glob("checkpoints/ckpt-*.index")]
    reader = tf.train.load_checkpoint(str(directory / "checkpoints" / f"ckpt-{max(steps)}"))
    names = sorted(reader.get_variable_to_shape_map())
    # What is trained: the length of the records in bytes, and the form of the file, may differ.
    return {name: reader.get_tensor(name) for name in names if name.startswith(("model", "opt"))}


def states_told(outputs):
    return {line for output in outputs for line in output.splitlines() if line.startswith("state")}


def assert_close(ours, theirs, *, rtol, atol):
    """The same records and the same state of two runs, up to rounding.

    `atol` is that of the records, in units of what they measure.
    """
    for one, other in zip(records(ours), records(theirs), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if name in ("kind", "layers", "statistics", "precision"):
                assert value == other[name]
            else:
                np.testing.assert_allclose(value, other[name], rtol=rtol, atol=atol, err_msg=name)
    first, second = state(ours), state(theirs)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=rtol, atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def few_glyphs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        cache = str(tmp_path_factory.mktemp("glyphs"))
        patch.setenv("BNKIT_CACHE_DIR", cache)
        patch.setitem(ENVIRONMENT, "BNKIT_CACHE_DIR", cache)
        few = functools.partial(data.load_glyphs, train_size=128, test_size=40)
        patch.setattr(data, "load_glyphs", few)
        yield


@pytest.fixture(scope="module")
def one_device(tmp_path_factory, few_glyphs):
    """`one_device(settings)`: the directory of such a run in this process."""

    @functools.cache
    def made(items):
        study = tmp_path_factory.mktemp("one")
        return experiment.run(Settings(**dict(items)), study, progress=False)

    return lambda settings: made(tuple(settings.items()))


@pytest.mark.parametrize(
    ("count", "probes"),
    [
        (2, ("landscape",)),
        pytest.param(3, ("landscape", "ics"), marks=pytest.mark.long),
    ],
)
def test_several_workers_equal_one_device(tmp_path, one_device, count, probes):
    """Records and weights, to rounding."""
    settings = {**VGG, "probes": probes}
    outputs = finish(tmp_path, settings, count)
    directory = run_of(tmp_path)
    assert_close(directory, one_device(settings), rtol=5e-5, atol=1e-5)
    assert len(states_told(outputs)) == 1  # bit by bit the same on all
    device = json.loads((directory / "settings.json").read_text())["device"]
    assert (device["workers"], device["replicas"]) == (count, count)
    assert directory.name == Settings(**settings, strategy="multiworker").run_id
    assert {path.name for path in tmp_path.iterdir()} == {"runs0", "reports0"}


def test_a_signal_to_one_worker_ends_all_and_another_number_goes_on(tmp_path, one_device):
    processes = start(tmp_path, LINEAR, 2)
    wait_for_step(tmp_path, 400, processes)
    processes[1].send_signal(signal.SIGTERM)
    results = ended(processes)
    assert [code for code, _ in results] == [130, 130], results
    assert len(states_told(output for _, output in results)) == 1
    status = json.loads((run_of(tmp_path) / "status.json").read_text())
    assert status["status"] == "interrupted" and 400 < status["steps"] < 1200
    assert status["reason"] == "stopped on another worker"
    (output,) = finish(tmp_path, LINEAR, 1)
    assert f"goes on from step {status['steps']}" in output
    steps = [record["step"] for record in records(run_of(tmp_path)) if record["kind"] == "train"]
    assert steps == list(range(1200))
    # The norms of gradients are up to 600.
    assert_close(run_of(tmp_path), one_device(LINEAR), rtol=1e-4, atol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_killed_worker_ends_all_within_a_minute_and_the_run_goes_on(tmp_path, victim):
    settings = {**LINEAR, "norm": "noisy_bn"}
    whole = finish(tmp_path / "whole", settings, 3)
    processes = start(tmp_path / "parts", settings, 3)
    wait_for_step(tmp_path / "parts", 600, processes)
    processes[victim].kill()
    results = ended(processes, timeout=60)
    for index, (code, output) in enumerate(results):
        if index != victim:
            assert code == 1 and "Traceback" not in output, output
            assert f"bnkit: worker {index} of 3 has lost worker" in output.splitlines()[-1]
    status = json.loads((run_of(tmp_path / "parts") / "status.json").read_text())
    assert status["status"] == ("running" if victim == 0 else "interrupted")
    outputs = finish(tmp_path / "parts", settings, 3)
    assert "goes on from step" in outputs[0]
    assert states_told(outputs) == states_told(whole)
    whole, parts = run_of(tmp_path / "whole"), run_of(tmp_path / "parts")
    assert records(parts) == records(whole)
    first, second = state(whole), state(parts)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.long
def test_workers_with_other_settings_are_refused_by_all(tmp_path):
    results = ended(start(tmp_path, LINEAR, 2, {1: {"lr": 1e-6}}))
    for code, output in results:
        assert code == 2 and "must be started with the same command" in output, output
