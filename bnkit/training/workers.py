"""What the workers of a run agree on: processes that train one model together."""

import contextlib
import hashlib
import re

import tensorflow as tf

from bnkit.training.cluster import ClusterError, WorkerLost

# Types that TensorFlow can add up between workers.
_ADDED = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64)


class Workers:
    """The processes that train one model together, of which this is one.

    All of them call the same methods in the same order. Of a single process every method gives back
    what it is given.

    Args:
        strategy: A `tf.distribute.Strategy`; one worker if it is not of several.

    Attributes:
        addresses: `host:port` of each; empty where there is but one and it needs none.
        index: Which of them this is. Worker 0 is the chief, which alone writes.
        count: How many there are.
    """

    def __init__(self, strategy=None):
        self.addresses, self.index = (), 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            self.addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
            self.index = resolver.task_id
        self.count = max(len(self.addresses), 1)
        self._strategy = strategy
        self._compiled = tf.function(self._sum, input_signature=[tf.TensorSpec([], tf.int64)])

    @property
    def is_chief(self):
        return self.index == 0

    def of_chief(self, number):
        """The chief's number, whole, on all workers."""
        return number if self.count == 1 else self._added_up(number if self.is_chief else 0)

    def any(self, truth):
        """Whether it is true of any worker."""
        return truth if self.count == 1 else self._added_up(bool(truth)) > 0

    def check_same(self, *texts):
        """Checks that all workers have the same texts: what the run is, and its data.

        Raises:
            ClusterError: On all workers, if they have not.
        """
        digest = hashlib.sha256("\n".join(texts).encode()).digest()
        mine = int.from_bytes(digest[:7], "big")
        if self.any(mine != self.of_chief(mine)):
            raise ClusterError(
                "all workers must be started with the same command, on the same data. Received: "
                f"different ones; those of worker {self.index} are {', '.join(texts)}"
            )

    def share(self, variables):
        """Gives all workers the chief's values of the variables, random state included."""
        if self.count == 1:
            return

        @tf.function
        def chiefs():
            def on_replica():
                context = tf.distribute.get_replica_context()
                is_first = context.replica_id_in_sync_group == 0
                shared = []
                for variable in variables:
                    value = tf.convert_to_tensor(variable.value)
                    value = value if value.dtype in _ADDED else tf.cast(value, tf.int64)
                    # The others' may be infinite: times 0 they would not be 0.
                    value = tf.where(is_first, value, tf.zeros_like(value))
                    shared.append(context.all_reduce(tf.distribute.ReduceOp.SUM, value))
                return shared

            return self._strategy.run(on_replica)

        for variable, value in zip(variables, chiefs(), strict=True):
            value = self._strategy.experimental_local_results(value)[0]
            variable.value.assign(tf.cast(value, variable.value.dtype))

    @contextlib.contextmanager
    def noticed(self):
        """Lets no worker be lost in the block without a clear word.

        TensorFlow notices within ten seconds, and ends what workers compute together.

        Raises:
            WorkerLost: If the connection with a worker breaks.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1 or not _is_about_others(error):
                raise
            raise WorkerLost(self._lost(str(error))) from error

    def _lost(self, text):
        found = {int(task) for task in re.findall(r"/job:worker/(?:replica:0/)?task:(\d+)", text)}
        found = sorted(index for index in found - {self.index} if index < self.count)
        named = [f"worker {index} ({self.addresses[index]})" for index in found]
        return (
            f"worker {self.index} of {self.count} has lost {' and '.join(named) or 'another'}, "
            "which has ended or cannot be reached: what it said itself tells why. The same command "
            "on all workers goes on from the last checkpoint"
        )

    def _added_up(self, number):
        return int(self._compiled(tf.constant(int(number), tf.int64)))

    def _sum(self, number):
        replicas = self._strategy.num_replicas_in_sync // self.count

        def on_replica(number):
            context = tf.distribute.get_replica_context()
            # Once for each worker, whatever the number of its devices.
            is_first = context.replica_id_in_sync_group % replicas == 0
            number = tf.where(is_first, number, tf.zeros_like(number))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, number)

        total = self._strategy.run(on_replica, args=(number,))
        return self._strategy.experimental_local_results(total)[0]


def _is_about_others(error):
    """Whether an error of TensorFlow's says that what workers do together was ended."""
    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    return isinstance(error, lost) or "Collective ops is aborted" in str(error)
