"""What workers agree on; with several of them in tests/workers/."""

import pytest
import small
import tensorflow as tf

from bnkit.training import WorkerLost, Workers


@pytest.mark.parametrize("replicas", [1, 2])
def test_of_a_single_process_everything_is_as_it_is_given(two_replicas, replicas):
    workers = Workers(two_replicas if replicas == 2 else None)
    assert workers.is_chief and (workers.count, workers.index, workers.addresses) == (1, 0, ())
    assert workers.of_chief(3) == 3
    assert workers.any(True) is True and workers.any(False) is False
    workers.check_same("anything")
    trainer = small.trainer()
    before = small.weights_of(trainer)
    trainer.share_state()
    assert all((a == b).all() for a, b in zip(before, small.weights_of(trainer), strict=True))
    with pytest.raises(tf.errors.UnavailableError), workers.noticed():
        raise tf.errors.UnavailableError(None, None, "no worker of ours")


SILENT = """Graph execution error:
Collective ops is aborted by: Error reported from /job:worker/task:2: The following tasks are
unhealthy (stopped sending heartbeats):
/job:worker/replica:0/task:2
"""
HUNG_UP = """Collective ops is aborted by: Socket closed
Additional GRPC error information from remote target /job:worker/replica:0/task:0 while calling ...
"""


@pytest.fixture
def second_of_three():
    workers = Workers()
    workers.addresses, workers.index, workers.count = ("a:1", "b:2", "c:3"), 1, 3
    return workers


@pytest.mark.parametrize(
    ("text", "named"),
    [(SILENT, "worker 2 (c:3)"), (HUNG_UP, "worker 0 (a:1)"), ("worker/task:1", "another")],
)
def test_the_worker_that_is_lost_is_named(second_of_three, text, named):
    with pytest.raises(WorkerLost, match=r"the last checkpoint$") as caught, (
        second_of_three.noticed()
    ):  # fmt: skip
        raise tf.errors.UnavailableError(None, None, text)
    assert str(caught.value).startswith(f"worker 1 of 3 has lost {named}, which has ended")
    assert "\n" not in str(caught.value)


def test_what_is_wrong_here_is_no_lost_worker(second_of_three):
    with pytest.raises(tf.errors.ResourceExhaustedError), second_of_three.noticed():
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
    with pytest.raises(OSError, match="disk"), second_of_three.noticed():
        raise OSError("disk on fire")
