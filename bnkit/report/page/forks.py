"""Work that is shared by forked processes: each has all tables already, and imports nothing."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import struct
import sys
import threading

# A number of a task as it is read from the pipe that all processes share.
_NUMBER = struct.Struct("H")
# They end a process that works; what it has forked ends with it.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextlib.contextmanager
def spread(work, count, processes):
    """Starts `work(number)` for every number below `count`, in up to so many processes.

    All is done in this process where forking is not safe: with TensorFlow or with other threads,
    and on other systems than Linux. So is what a process has left undone that was ended by the
    system, for want of memory perhaps.

    Args:
        work: What it returns, and any `OSError` that it raises, is pickled.
        count: Below 32,000.
        processes: 1 to do all in this process.

    Yields:
        An iterator of `(number, result)`, in the order in which they are done; it raises the
        `OSError` of a task. Once the block ends, so do the processes.
    """
    workers = {}
    try:
        if min(processes, count) > 1 and _is_safe():
            _start(workers, work, count, min(processes, count))
        yield _results(workers, work, count)
    finally:
        for connection, process in workers.items():
            process.terminate()
            process.join()
            connection.close()


def _is_safe():
    is_alone = threading.active_count() == 1 and "tensorflow" not in sys.modules
    return sys.platform == "linux" and is_alone


def _start(workers, work, count, processes):
    """Adds processes to `workers`, by the connection that their results come from."""
    context = multiprocessing.get_context("fork")
    tasks, source = os.pipe()
    os.write(source, b"".join(map(_NUMBER.pack, range(count))))
    os.close(source)
    # A process hears no signal before it has said what to do on it.
    numbers = {getattr(signal, name) for name in _NAMES}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        for _ in range(processes):
            mine, theirs = context.Pipe(duplex=False)
            others = [*workers, mine]
            process = context.Process(target=_work, args=(work, tasks, theirs, others), daemon=True)
            try:
                process.start()
            except OSError:  # No room for a further one: those that there are share the work.
                mine.close()
                break
            finally:
                theirs.close()
            workers[mine] = process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(tasks)


def _work(work, tasks, connection, others):
    """What a process does: the next task until there is none."""
    # Ctrl-C is for the process that has started it, which ends this one with SIGTERM.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    for other in others:
        other.close()
    # Without anybody left to take it, a result is lost with the process.
    with contextlib.suppress(BrokenPipeError):
        while task := os.read(tasks, _NUMBER.size):
            (number,) = _NUMBER.unpack(task)
            try:
                result, error = work(number), None
            except OSError as failure:
                result, error = None, failure
            connection.send((number, result, error))


def _results(workers, work, count):
    left = dict.fromkeys(range(count))
    while workers:
        for connection in multiprocessing.connection.wait(workers):
            try:
                number, result, error = connection.recv()
            except EOFError:
                workers.pop(connection).join()
                connection.close()
                continue
            if error is not None:
                raise error
            del left[number]
            yield number, result
    for number in left:
        yield number, work(number)
