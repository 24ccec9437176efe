"""Tracing ahead: what a training will call is traced while TensorFlow compiles what came before."""

import concurrent.futures
import contextlib


class Tracing:
    """Traces functions one after the other, in a thread of its own.

    Tracing is Python's work, on one core. What comes after it at the first call of a graph, its
    compilation and its execution, is TensorFlow's: meanwhile the next one is traced.
    """

    def __init__(self):
        self._traces = {}

    @contextlib.contextmanager
    def ahead(self, tasks):
        """Traces in the order given while the block runs; at its end, what is left is left out.

        Args:
            tasks: Pairs of a `tf.function` and what traces it, a callable.
        """
        with concurrent.futures.ThreadPoolExecutor(1, "tracing") as thread:
            self._traces = {id(function): thread.submit(trace) for function, trace in tasks}
            del tasks  # They hold batches.
            try:
                yield
            finally:
                thread.shutdown(cancel_futures=True)
                self._traces.clear()

    def wait(self, function):
        """Waits until a function has been traced, if it is traced ahead.

        Raises:
            Exception: What was raised while it was traced.
        """
        trace = self._traces.get(id(function))
        if trace is not None:
            trace.result()
