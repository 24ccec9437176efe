"""The cluster of one run on several workers: who they are, and how they find one another.

The workers are the processes of the same command, one or several on each machine. Worker 0 is the
chief: it alone writes. TensorFlow's own way of connecting blocks for as long as a worker is missing
and hears no signal meanwhile, so the workers meet here first.
"""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import threading
import time

import tensorflow as tf

from bnkit import backend

# Seconds that the workers wait for one another at the start, and between two attempts.
PATIENCE, _PAUSE = 300, 0.5
# Seconds that TensorFlow gets to connect workers that are all there.
_CONNECTING = 60
# What they say when they meet; anything else that calls is not one of them.
_HERE, _BEGIN = b"bnkit worker ", b"bnkit begin"
# Ports of a SLURM job's workers: below those that systems give out of their own accord. Jobs that
# share a node should not share them.
_FIRST_PORT, _PORTS = 12000, 20000
_EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)

_log = logging.getLogger(__name__)


class ClusterError(ValueError):
    """A description of a cluster that cannot be used; the message shows it."""


class WorkerLost(RuntimeError):
    """A worker that has never come, or with which the connection broke."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run.

    Attributes:
        addresses: `host:port` of each worker, the chief first.
        index: Which of them this process is.
    """

    addresses: tuple[str, ...]
    index: int

    def named(self, index):
        return f"worker {index} ({self.addresses[index]})"


def find(environment=os.environ):
    """The cluster that `TF_CONFIG` describes, or SLURM where there is no `TF_CONFIG`.

    Raises:
        ClusterError: If neither does.
    """
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _from_slurm(environment)
    raise ClusterError(
        "--strategy=multiworker needs the addresses of the workers: the variable TF_CONFIG in each "
        f"worker's environment, such as TF_CONFIG='{_EXAMPLE}', or a job of SLURM's started by "
        "srun. Received: neither"
    )


_strategy = None


def connect(patience=PATIENCE):
    """The `tf.distribute` strategy of this process, connected with all other workers.

    A process is connected once. Call it before TensorFlow computes anything.

    Args:
        patience: Seconds to wait for the others.

    Raises:
        ClusterError: If it is not known who they are.
        WorkerLost: If one does not come.
    """
    global _strategy
    if _strategy is None:
        cluster = find()
        _meet(cluster, patience)
        with _can_be_ended(), backend.without_start_up_messages():
            resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
                tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
                task_type="worker",
                task_id=cluster.index,
                num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
                rpc_layer="grpc",
            )
            _strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    return _strategy


def _from_tf_config(text):
    try:
        content = json.loads(text)
        jobs, task = content["cluster"], content["task"]
        first, others = (list(jobs.get(job, [])) for job in ("chief", "worker"))
        index = {"chief": 0, "worker": len(first)}[task["type"]] + int(task["index"])
        addresses = tuple(first + others)
        ports = [_split(address)[1] for address in addresses]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ClusterError(
            f"TF_CONFIG must be of the form {_EXAMPLE}, with tasks of type worker, and one chief "
            f"at most ({type(error).__name__}: {error}). Received: {text}"
        ) from error
    if len(first) > 1 or not 0 <= index < len(addresses) or not all(0 < p < 2**16 for p in ports):
        raise ClusterError(
            "TF_CONFIG must name the host:port of each worker, one chief at most, and which of "
            f"them this one is. Received: {text}"
        )
    return Cluster(addresses, index)


def _from_slurm(environment):
    """TensorFlow's resolver reads what SLURM says; GPUs are given to the tasks by SLURM itself."""
    port = _FIRST_PORT + int(environment.get("SLURM_JOB_ID", 0)) % _PORTS
    try:
        # As many made-up GPUs as tasks: without any the resolver divides by their number.
        tasks = int(environment["SLURM_STEP_NUM_TASKS"])
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
        index = resolver.task_id
        # The resolver sorts the nodes by name, which need not be the order of SLURM's ranks.
        if "SLURMD_NODENAME" in environment and "SLURM_LOCALID" in environment:
            here = f"{environment['SLURMD_NODENAME']}:{port + int(environment['SLURM_LOCALID'])}"
            index = addresses.index(here)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ClusterError(
            "the workers of this job cannot be read from SLURM's variables "
            f"({type(error).__name__}: {error}): start them by srun, or set TF_CONFIG. "
            f"Received: {_shown(environment)}"
        ) from error
    return Cluster(addresses, index)


def _shown(environment):
    names = ("PROCID", "STEP_NUM_TASKS", "STEP_NODELIST", "STEP_TASKS_PER_NODE")
    return ", ".join(f"SLURM_{name}={environment.get(f'SLURM_{name}')}" for name in names)


def _split(address):
    host, _, port = address.rpartition(":")
    if not host:
        raise ValueError(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)


def _meet(cluster, patience):
    """Returns on all workers once they are all there.

    Each of the others calls the chief, at the address that TensorFlow will use, and says its
    number; when it knows all of them the chief says so, and hangs up.
    """
    if len(cluster.addresses) == 1:
        return
    deadline = time.monotonic() + patience
    if cluster.index == 0:
        _welcome(cluster, deadline, patience)
    else:
        _call(cluster, deadline, patience)


def _welcome(cluster, deadline, patience):
    others = range(1, len(cluster.addresses))
    _log.info("waiting for %s", ", ".join(map(cluster.named, others)))
    port = _split(cluster.addresses[0])[1]
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(socket.create_server(("", port)))
        except OSError as error:
            raise ClusterError(
                f"the port of {cluster.named(0)} cannot be opened: {error.strerror}"
            ) from error
        server.settimeout(_PAUSE)
        heard, there = set(), {}
        while len(there) < len(others):
            if time.monotonic() > deadline:
                # Those that came and gave up, only if all came.
                lacking = [i for i in others if i not in heard] or [
                    i for i in others if i not in there
                ]
                names = ", ".join(map(cluster.named, lacking))
                raise WorkerLost(f"no sign of {names} after {patience:g} s")
            with contextlib.suppress(TimeoutError):
                line, _ = server.accept()
                stack.enter_context(line)
                index = _number_heard(line)
                if index in others:
                    heard.add(index)
                    there[index] = line
            # One that has hung up was started again, or gave up.
            there = {index: line for index, line in there.items() if not _has_hung_up(line)}
        for line in there.values():
            line.sendall(_BEGIN)


def _number_heard(line):
    """The number that a worker says; None for anything else that calls."""
    line.settimeout(1)
    try:
        said = line.recv(32)
        return int(said[len(_HERE) :]) if said.startswith(_HERE) else None
    except (OSError, ValueError):
        return None


def _has_hung_up(line):
    line.setblocking(False)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _call(cluster, deadline, patience):
    _log.info("calling %s", cluster.named(0))
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(_split(cluster.addresses[0]), timeout=5) as line:
                line.sendall(_HERE + b"%d" % cluster.index)
                line.settimeout(_PAUSE)
                while time.monotonic() < deadline:
                    with contextlib.suppress(TimeoutError):
                        if line.recv(len(_BEGIN)) == _BEGIN:
                            return
                        break
        except OSError:
            pass  # It is not there yet.
        time.sleep(_PAUSE)
    raise WorkerLost(f"no sign of {cluster.named(0)} after {patience:g} s")


@contextlib.contextmanager
def _can_be_ended():
    """While TensorFlow connects no Python runs: signals end the process, and so does a minute.

    Only a worker that is lost between the meeting and the connection makes it wait.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    signal.alarm(_CONNECTING)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
