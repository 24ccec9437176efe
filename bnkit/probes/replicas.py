"""What the replicas of a strategy make of their values together.

Outside `strategy.run`, and on a single device, every value stays as it is.
"""

import tensorflow as tf


def count():
    """Number of replicas that compute together."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def added_up(values):
    """The replicas' values added up; a list of tensors of one type."""
    return _reduced(tf.distribute.ReduceOp.SUM, values)


def averaged(values):
    """The means of the replicas' values; a list of tensors of one type."""
    return _reduced(tf.distribute.ReduceOp.MEAN, values)


def joined(rows):
    """The rows of all replicas, one after the other."""
    return rows if count() == 1 else tf.distribute.get_replica_context().all_gather(rows, axis=0)


def _reduced(operation, values):
    if count() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(operation, values)
