"""Who the workers of a run are, and how they meet."""

import json
import socket
import threading
import time

import pytest

from bnkit.training import ClusterError, WorkerLost, cluster
from bnkit.training.cluster import Cluster

WORKERS = ["a:1", "b:2"]
SLURM = {
    "SLURM_JOB_ID": "20007",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
    "SLURMD_NODENAME": "n10",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "n[9-10]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}


def tf_config(jobs, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def test_the_cluster_is_that_of_tf_config():
    assert cluster.find(tf_config({"worker": WORKERS}, index=1)) == Cluster(("a:1", "b:2"), 1)
    jobs = {"chief": ["c:3"], "worker": WORKERS}
    assert cluster.find(tf_config(jobs, "chief")) == Cluster(("c:3", "a:1", "b:2"), 0)
    assert cluster.find(tf_config(jobs, index=1) | SLURM) == Cluster(("c:3", "a:1", "b:2"), 2)


@pytest.mark.parametrize(
    "environment",
    [
        {"TF_CONFIG": "{"},
        {"TF_CONFIG": "[]"},
        {"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'},
        tf_config({"worker": WORKERS}, index=2),
        tf_config({"worker": WORKERS}, index=-1),
        tf_config({"worker": WORKERS}, "evaluator"),
        tf_config({"worker": ["a:1", "b"]}),
        tf_config({"worker": ["a:1", "b:0"]}),
        tf_config({"chief": WORKERS}, "chief"),
        tf_config({"worker": []}),
    ],
    ids=lambda environment: environment["TF_CONFIG"],
)
def test_a_tf_config_that_describes_no_cluster_is_shown(environment):
    with pytest.raises(ClusterError, match=r"^TF_CONFIG must .*Received: ") as caught:
        cluster.find(environment)
    assert environment["TF_CONFIG"] in str(caught.value)


def test_the_cluster_is_that_of_a_slurm_step():
    """Each task is the worker at whose address it is, in whatever order SLURM counts the nodes.

    The port is 12000 + 20007 modulo 20000.
    """
    addresses = ("n10:12007", "n10:12008", "n9:12007", "n9:12008")
    where = {("n10", "0"): 0, ("n10", "1"): 1, ("n9", "0"): 2, ("n9", "1"): 3}
    for (node, local), index in where.items():
        environment = {**SLURM, "SLURMD_NODENAME": node, "SLURM_LOCALID": local}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert cluster.find(environment) == Cluster(addresses, index)


def test_a_slurm_job_without_srun_is_refused_with_what_there_is():
    environment = {"SLURM_PROCID": "0", "SLURM_JOB_ID": "1"}
    with pytest.raises(ClusterError, match=r"srun.*SLURM_PROCID=0, SLURM_STEP_NUM_TASKS=None"):
        cluster.find(environment)


def test_without_either_the_message_has_an_example():
    with pytest.raises(ClusterError, match="TF_CONFIG=") as caught:
        cluster.find({})
    example = str(caught.value).split("TF_CONFIG='")[1].split("'")[0]
    assert cluster.find({"TF_CONFIG": example}).index == 0


@pytest.fixture
def meet(monkeypatch):
    """`meet(count, delays, patience)`: how the meeting ended for each worker, None if it did not.

    A worker without a delay never comes.
    """
    monkeypatch.setattr(cluster, "_PAUSE", 0.02)

    def arrange(count, delays, patience=20, stranger=b""):
        with socket.create_server(("", 0)) as server:
            port = server.getsockname()[1]
        addresses = (f"127.0.0.1:{port}", *(f"127.0.0.1:{i}" for i in range(1, count)))
        results = [None] * count

        def come(index):
            time.sleep(delays[index])
            if stranger and index == 1:
                with socket.create_connection(("127.0.0.1", port)) as line:
                    line.sendall(stranger)
            try:
                cluster._meet(Cluster(addresses, index), patience)
                results[index] = "met"
            except WorkerLost as error:
                results[index] = str(error)

        threads = [threading.Thread(target=come, args=(index,)) for index in delays]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return arrange


def test_workers_meet_in_whatever_order_they_come(meet):
    assert meet(3, {0: 0.3, 1: 0, 2: 0.6}) == ["met"] * 3
    assert meet(1, {0: 0}) == ["met"]


def test_whoever_else_calls_is_not_a_worker(meet):
    result = meet(3, {0: 0, 1: 0.3}, patience=1.5, stranger=b"bnkit worker 7")
    assert "worker 2 " in result[0] and "worker 1 " not in result[0]
    assert meet(2, {0: 0, 1: 0.3}, stranger=b"GET / HTTP/1.1\r\n\r\n") == ["met", "met"]


def test_a_worker_that_does_not_come_is_named_to_all(meet):
    chief, first, missing = meet(3, {0: 0, 1: 0}, patience=0.5)
    assert chief == "no sign of worker 2 (127.0.0.1:2) after 0.5 s" and missing is None
    assert first.startswith("no sign of worker 0 (127.0.0.1:")
    _, first, _ = meet(3, {1: 0}, patience=0.5)
    assert first.startswith("no sign of worker 0 (127.0.0.1:")


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("", 0)) as server:
        taken = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"port of worker 0 .{taken}. cannot be opened"):
            cluster._meet(Cluster((taken, "127.0.0.1:1"), 0), 1)
