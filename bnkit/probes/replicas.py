"""What the replicas of a `tf.distribute` strategy compute together.

Outside `strategy.run`, and on a single device, all values are returned as they are.
"""

import tensorflow as tf


def count():
    """Number of replicas that compute together."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def added_up(values):
    """The sums of the replicas' values; a list of tensors of one type."""
    return _reduced(tf.distribute.ReduceOp.SUM, values)


def averaged(values):
    """The means of the replicas' values; a list of tensors of one type."""
    return _reduced(tf.distribute.ReduceOp.MEAN, values)


def joined(rows):
    """The rows of all replicas, one after the other."""
    return rows if count() == 1 else tf.distribute.get_replica_context().all_gather(rows, axis=0)


def in_turn(function, elements, dtypes):
    """Applies `function`, which may use the functions above, to one element after the other.

    In a graph the function is traced once, as the body of a loop. Replicas cannot exchange values
    within a loop, so there it is traced for each element. They still take one element at a time,
    because memory may not hold what all of them need together.

    Args:
        function: Gives a tuple of tensors for an element.
        elements: A tensor; its elements are along the first axis.
        dtypes: Types of the function's results, a tuple.

    Returns:
        A tuple of the results, each stacked.
    """
    if count() == 1:
        # As it stands: AutoGraph would rewrite the user's loss and layers.
        function = tf.autograph.experimental.do_not_convert(function)
        return tf.map_fn(function, elements, fn_output_signature=dtypes, parallel_iterations=1)
    results = []
    for element in tf.unstack(elements):
        previous = results[-1] if results else ()
        with tf.control_dependencies(previous):
            results.append(function(element))
    return tuple(tf.stack(values) for values in zip(*results, strict=True))


def _reduced(operation, values):
    if count() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(operation, values)
