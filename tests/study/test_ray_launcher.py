"""A study on a Ray cluster: its records, a node that is lost, Ctrl-C, and what is refused."""

import contextlib
import logging
import os
import pathlib
import signal
import sys
import threading
import time

import pytest
import ray
from ray.cluster_utils import Cluster
from study_runs import TINY, read, train_steps

import bnkit
from bnkit import study
from bnkit.store import RunFiles
from bnkit.study import ray_launcher

# Enough steps to lose a node and to interrupt; every evaluation would end a graph call.
GRID = study.grid(**TINY | {"seed": [0, 1], "steps": 6000, "eval_every": 1000})
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def cluster():
    """A cluster of a head that makes no runs, and two nodes with room for one run each."""
    with pytest.MonkeyPatch.context() as patch:
        # The nodes inherit what this process has; only what a launcher sends is to count.
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            patch.delenv(name, raising=False)
        head = {**NODE, "num_cpus": 0, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        made.nodes = [made.add_node(**NODE), made.add_node(**NODE)]
        yield made
        ray.shutdown()
        made.shutdown()


@contextlib.contextmanager
def meanwhile(function):
    """Calls a function in another thread while the block runs; its errors are raised here."""
    errors = []

    def called():
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=called)
    thread.start()
    yield
    thread.join()
    if errors:
        raise errors[0]


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def test_a_study_loses_a_node_is_interrupted_and_ends_with_the_records_of_a_local_one(
    cluster, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="bnkit")
    study_dir = tmp_path / "on_ray"
    directories = [study_dir / settings.run_id for settings in GRID]
    options = {"launcher": None, "jobs": 10, "progress": False, "checkpoint_seconds": 0.1}

    def lose_a_node_and_interrupt():
        wait_for(lambda: all(RunFiles(directory).has_checkpoint for directory in directories))
        cluster.remove_node(cluster.nodes[1], allow_graceful=False)
        wait_for(lambda: "was lost" in caplog.text)
        os.kill(os.getpid(), signal.SIGINT)

    with ray_launcher.opened(cluster.address) as launcher:
        options["launcher"] = launcher
        with meanwhile(lose_a_node_and_interrupt):
            outcomes = study.run(GRID, study_dir, **options)
        assert [outcome.state for outcome in outcomes] == ["interrupted"] * 2
        lost = next(d for d in directories if read(d, "status.json")["status"] == "running")
        assert f"{lost.name} was lost, and goes on elsewhere from its checkpoint" in caplog.text
        outcomes = study.run(GRID, study_dir, **options)
    assert [outcome.state for outcome in outcomes] == ["done"] * 2
    for directory in directories:
        assert train_steps(directory) == list(range(6000))
        log = RunFiles(directory).log.read_text()
        assert log.count(f"on {os.uname().nodename}\n") == 2 and "goes on from step" in log
    assert not list(study_dir.glob(".*"))

    local = study.run(GRID, tmp_path / "here", cpus=1, jobs=2, progress=False)
    assert [outcome.state for outcome in local] == ["done"] * 2
    for directory in directories:
        here = tmp_path / "here" / directory.name
        records = [RunFiles(d).records.read_bytes() for d in (directory, here)]
        assert records[0] == records[1]
        devices = [read(d, "settings.json")["device"] for d in (directory, here)]
        assert devices[0] == devices[1] and devices[0]["threads"] == 1
