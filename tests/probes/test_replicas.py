"""What replicas compute together, on values that differ between them."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from bnkit.probes import replicas


def test_alone_values_stay_as_they_are():
    values = [tf.constant([1.0, 2.0]), tf.constant(3.0)]
    assert replicas.count() == 1
    assert replicas.added_up(values) is values
    assert replicas.averaged(values) is values
    assert replicas.joined(values[0]) is values[0]


def test_in_the_scope_of_a_strategy_but_outside_its_replicas_there_is_one(two_replicas):
    with two_replicas.scope():
        assert replicas.count() == 1


def test_replicas_add_up_average_and_join(on_two_replicas):
    def function(x):
        numbers, sums = tf.reduce_sum(x), tf.reduce_sum(x, 0)
        return (
            tf.constant(replicas.count()),
            replicas.added_up([numbers, sums]),
            replicas.averaged([numbers, sums]),
            replicas.joined(x),
        )

    x = np.array([[1, 2], [3, 4], [50, 60], [70, 80]], "float32")
    for count, (total, sums), (mean, means), rows in on_two_replicas(function, x):
        assert count == 2
        assert (total, mean) == (270, 135)
        np.testing.assert_array_equal(sums, [124, 146])
        np.testing.assert_array_equal(means, [62, 73])
        np.testing.assert_array_equal(rows, x)


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_elements_in_turn(in_graph):
    calls = []

    def function(element):
        calls.append(inspect.currentframe().f_code.co_filename)
        return element**2, tf.cast(element, tf.int32) + 1

    wrap = tf.function if in_graph else lambda f, **options: f
    squares, following = wrap(
        lambda elements: replicas.in_turn(function, elements, (tf.float32, tf.int32)),
        autograph=False,
    )(tf.constant([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(squares, [1, 4, 9])
    np.testing.assert_array_equal(following, [2, 3, 4])
    assert squares.dtype == tf.float32 and following.dtype == tf.int32
    # A graph holds the function once. AutoGraph has not rewritten it.
    assert calls == [__file__] * (1 if in_graph else 3)


def test_replicas_may_exchange_values_in_turn(on_two_replicas):
    """Replica 0 has the elements 1, 2, 3; replica 1 has 10, 20, 30."""

    def function(x):
        def both(element):
            return (replicas.added_up([element])[0], element)

        return replicas.in_turn(both, x, (tf.float32, tf.float32))

    x = np.array([1, 2, 3, 10, 20, 30], "float32")
    results = on_two_replicas(function, x)
    for (sums, own), share in zip(results, np.split(x, 2), strict=True):
        np.testing.assert_array_equal(sums, [11, 22, 33])
        np.testing.assert_array_equal(own, share)
