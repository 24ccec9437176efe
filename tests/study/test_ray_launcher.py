"""A study on a Ray cluster: its records, a node that is lost, Ctrl-C, and what is refused."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time

import pytest
import ray
from ray.cluster_utils import Cluster
from study_runs import TINY, end, read, train_steps

import bnkit
from bnkit import main, study
from bnkit.store import RunDir, RunFiles
from bnkit.study import ray_launcher

# Enough steps to lose a node and to interrupt; every evaluation would end a graph call.
# More than any machine makes while a node is lost.
STEPS = 60_000
GRID = study.grid(**TINY | {"seed": [0, 1], "steps": STEPS, "eval_every": 10_000})
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def cluster():
    """A cluster of a head that makes no runs, and two nodes with room for one run each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
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
        (saved,) = (d for d in directories if d != lost)
        status = read(saved, "status.json")
        assert (status["status"], status["reason"]) == ("interrupted", "stopped by hand")
        assert list(saved.glob(f"checkpoints/ckpt-{status['steps']}.index"))
        # The one that was lost is the harder case; each costs a start of TensorFlow.
        (settings,) = (s for s in GRID if s.run_id == lost.name)
        (outcome,) = study.run([settings], study_dir, **options)
    assert outcome.state == "done"
    assert train_steps(lost) == list(range(STEPS))
    log = RunFiles(lost).log.read_text()
    assert log.count(f"on {os.uname().nodename}\n") == 2 and "goes on from step" in log
    assert not list(study_dir.glob(".*"))

    (outcome,) = study.run([settings], tmp_path / "here", cpus=1, progress=False)
    assert outcome.state == "done"
    both = (lost, tmp_path / "here" / lost.name)
    records, on_one_machine = (RunFiles(directory).records.read_bytes() for directory in both)
    assert records == on_one_machine
    device, of_one_machine = (read(directory, "settings.json")["device"] for directory in both)
    assert device == of_one_machine and device["threads"] == 1


def test_what_goes_wrong_on_a_node_is_that_runs_failure(cluster, tmp_path):
    settings = GRID[0]
    RunFiles(tmp_path / settings.run_id).log.mkdir(parents=True)
    terminated = signal.getsignal(signal.SIGTERM)
    with ray_launcher.opened(cluster.address) as launcher:
        (outcome,) = study.run([settings], tmp_path, launcher=launcher, progress=False)
        assert signal.getsignal(signal.SIGTERM) is terminated
    assert outcome.state == "failed" and outcome.reason.startswith("IsADirectoryError: ")


# --- without a cluster ---


def made(study_dir, **place):
    place = {"study_dir": study_dir, "mark": study_dir, "version": bnkit.__version__, **place}
    return ray_launcher._make(GRID[0], place, {}, {"resume": True})[:2]


def test_a_node_without_the_directory_of_the_study_or_with_another_version_is_named(tmp_path):
    node = os.uname().nodename
    assert made(tmp_path, mark=tmp_path / "not_there") == (
        "failed",
        f"{node} does not see {tmp_path} of this study: it has to be on a file system that all "
        "nodes share",
    )
    assert made(tmp_path, version="0.0.1") == (
        "failed",
        f"{node} has bnkit {bnkit.__version__}, and the study is made with 0.0.1",
    )


def test_a_run_that_another_process_has_is_waited_for_and_then_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_launcher, "_PATIENCE", 0.1)
    with RunDir(tmp_path / GRID[0].run_id) as run:
        assert made(tmp_path) == ("failed", f"another process is writing to {run.path}")


class Lost:
    """Stands for Ray on a cluster that loses every run, after it has begun with `begin`."""

    exceptions = ray.exceptions

    def __init__(self, begin=lambda: None):
        self.resumed = []
        self._begin = begin

    def submit(self, options):
        self.resumed.append(options["resume"])
        self._begin()

    def wait(self, references, timeout):
        return references, []

    def get(self, reference):
        raise ray.exceptions.NodeDiedError("the node is gone. Look there: ...")


def lose(cluster, study_dir, **options):
    run = ray_launcher._Run(cluster, cluster.submit, GRID[0], study_dir, options)
    for _ in range(5):
        assert run.has_ended is (len(cluster.resumed) == 5 and run.result() is not None)
    return run.result()[:2]


def test_a_run_that_is_lost_again_and_again_has_failed(tmp_path):
    nodes = Lost()
    reason = "it was lost 5 times; the last: the node is gone"
    assert lose(nodes, tmp_path, resume=True) == ("failed", reason)
    assert nodes.resumed == [True] * 5


def test_with_noresume_a_lost_run_goes_on_only_from_what_this_study_has_begun(tmp_path):
    end(tmp_path, GRID[0], "done")
    nodes = Lost()
    lose(nodes, tmp_path, resume=False)
    assert nodes.resumed == [False] * 5
    nodes = Lost(lambda: end(tmp_path, GRID[0], "running"))
    lose(nodes, tmp_path, resume=False)
    assert nodes.resumed == [False] + [True] * 4


def test_without_ray_one_line_says_how_to_have_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main.main(["bnkit", "--model=dln", "--launcher=ray"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("bnkit: Ray is not installed: pip install") and shown.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_address_where_nothing_is_is_refused_at_once():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with (
            pytest.raises(study.LauncherError, match=f"no Ray cluster at {address}: .*refused"),
            ray_launcher.opened(address),
        ):
            pass


def test_a_launcher_sends_what_a_run_depends_on_and_no_more(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("TF_CONFIG", "{}")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    environment = ray_launcher._environment(cpus=3, gpus=0)
    assert environment["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert (environment["TF_NUM_INTRAOP_THREADS"], environment["OMP_NUM_THREADS"]) == ("3", "7")
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert not environment.keys() & {"TF_CONFIG", "PATH", "HOME"}
    assert "CUDA_VISIBLE_DEVICES" not in ray_launcher._environment(cpus=3, gpus=1)
