"""Runs that are killed, at named moments and at random ones, and go on until they are done.

Afterwards their records and their final state are those of a run that nothing has disturbed, bit
for bit. The long version is `make test-long`.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
# One thread: how sums are split between threads is part of what a run is.
ENVIRONMENT = {
    **os.environ,
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
}
TASKS = {
    "dln": ["--model=dln", "--depth=3", "--samples=50", "--norm=noisy_bn", "--optimizer=adam",
            "--lr=1e-3", "--steps=1200", "--probe_every=200", "--eval_every=300",
            "--probes=landscape,activations"],
    "vgg": ["--model=vgg11", "--width=0.05", "--batch_size=16", "--norm=noisy_bn",
            "--optimizer=adam", "--lr=1e-3", "--steps=60", "--probe_every=20", "--eval_every=30",
            "--probes=landscape,activations"],
}  # fmt: skip
# Moment -> which of its occurrences.
MOMENTS = {
    "starting": 1,
    "compiling": 1,
    "training": 4,
    "recording": 300,
    "saving": 2,
    "between the files of a checkpoint": 4,
    "status": 3,
    "reporting": 1,
}


def flags(task, folder):
    folders = [f"--runs_dir={folder / 'runs'}", f"--reports_dir={folder / 'reports'}"]
    return [*TASKS[task], "--checkpoint_seconds=0.3", *folders]


def start(task, folder, *script):
    return subprocess.Popen(
        [sys.executable, *script, *flags(task, folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )


def run(task, folder, moment="no", count=1):
    """The process of a run without a report, that kills itself."""
    return start(task, folder, str(HERE / "killed.py"), moment, str(count))


def finish(task, folder):
    """Makes the run to its end; returns what it printed."""
    process = run(task, folder)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    return output


def outcome(folder):
    """The records, and all that the last checkpoint holds."""
    (run,) = (folder / "runs" / "main").iterdir()
    newest = max(run.glob("checkpoints/*.index"), key=lambda path: int(path.stem.split("-")[1]))
    reader = tf.train.load_checkpoint(str(newest.with_suffix("")))
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
    return (run / "metrics.jsonl").read_text(), {n: reader.get_tensor(n) for n in names}


def assert_same(folder, expected):
    records, state = outcome(folder)
    assert records == expected[0]
    # The length of the records is a number of bytes, and state the rest.
    assert state.keys() == expected[1].keys()
    for name, value in expected[1].items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


def lost_by_a_kill(folder):
    """The steps, and the seconds, between the newest checkpoint and the newest record."""
    checkpoints = list(folder.glob("runs/main/*/checkpoints/ckpt-*.json"))
    recorded = list(folder.glob("runs/main/*/metrics.jsonl"))
    if not checkpoints or not recorded:
        return 0, 0.0
    newest = max(checkpoints, key=lambda path: int(path.stem.split("-")[1]))
    (metrics,) = recorded
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()[:-1]]
    made = max(steps, default=-1) + 1
    seconds = metrics.stat().st_mtime - newest.stat().st_mtime
    return max(made - int(newest.stem.split("-")[1]), 0), max(seconds, 0.0)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """`undisturbed(task)`: the outcome of a run that nothing has disturbed."""
    found = {}

    def of(task):
        if task not in found:
            folder = tmp_path_factory.mktemp(task)
            finish(task, folder)
            found[task] = outcome(folder)
        return found[task]

    return of


def kill(task, folder, moment, count):
    process = run(task, folder, moment, count)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == -9, output


@pytest.mark.long
@pytest.mark.parametrize(("moment", "count"), MOMENTS.items())
def test_killed_at_a_named_moment(tmp_path, undisturbed, moment, count):
    kill("dln", tmp_path, moment, count)
    finish("dln", tmp_path)
    assert_same(tmp_path, undisturbed("dln"))


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
def test_killed_at_random_moments_until_done(tmp_path, undisturbed, task):
    """50 kills, each in a run of its own or one that was killed before.

    Prints the most that was lost: between the newest checkpoint and the newest record.
    """
    expected, generator, kills, lost = undisturbed(task), random.Random(task), 0, []
    start_time = time.monotonic()
    finish(task, tmp_path / "timing")
    longest = time.monotonic() - start_time
    attempt = 0
    while kills < 50:
        attempt += 1
        folder = tmp_path / f"run{attempt}"
        while True:
            process = run(task, folder)
            try:
                output, _ = process.communicate(timeout=generator.uniform(0.2, 1.1) * longest)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                lost.append(lost_by_a_kill(folder))
                continue
            assert process.returncode == 0, output
            break
        assert_same(folder, expected)
    steps, seconds = max(steps for steps, _ in lost), max(seconds for _, seconds in lost)
    print(f"{task}: {kills} kills, at most {steps} steps or {seconds:.1f} s lost")


def test_terminated_and_killed_twice_it_ends_as_if_nothing_had_happened(tmp_path, undisturbed):
    """SIGTERM, as batch systems send it: no report, exit code 130, and nothing lost.

    Then it is killed between the files of a checkpoint, and in the middle of a record.
    """
    process = start("dln", tmp_path, "-m", "bnkit.main")
    deadline = time.monotonic() + 200
    records = tmp_path / "runs" / "main"
    while not any(path.stat().st_size for path in records.glob("*/metrics.jsonl")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.terminate()
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 130, output
    assert "stopped by SIGTERM after" in output and "the same command goes on" in output
    assert not list((tmp_path / "reports").rglob("index.html"))
    kill("dln", tmp_path, "between the files of a checkpoint", 2)
    kill("dln", tmp_path, "recording", 100)
    finish("dln", tmp_path)
    assert_same(tmp_path, undisturbed("dln"))
