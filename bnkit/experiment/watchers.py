"""What watches a run: the callbacks that measure, record and show, in the order of their calls."""

import logging

from bnkit import callbacks

_EVALUATED = {"samples": 500, "batch_size": 250}

_log = logging.getLogger(__name__)


def tensorboard(settings, directory, earlier, details, stack):
    """The callback that TensorBoard sees a run by; arguments as for `watchers`."""
    # TensorBoard keeps about a thousand points of a curve, and each takes a millisecond to write.
    board = callbacks.TensorBoard(
        directory.tensorboard, every=-(-settings.steps // 1000), details=details
    )
    stack.callback(board.close)
    defaults = type(settings)(model=settings.model).to_dict()
    board.write_settings("/".join(directory.path.parts[-2:]), settings.to_dict(), defaults)
    board.restore(earlier)
    stack.callback(board.write_outcome, directory.path)
    return board


def watchers(settings, model, dataset, directory, board, earlier, progress, stack):
    """The callbacks of a run.

    Args:
        settings: `bnkit.Settings`.
        model: The model to be trained.
        dataset: Has the split `test`.
        directory: The `RunDir` that takes the records.
        board: As `tensorboard` makes it.
        earlier: Records of an interrupted run that goes on.
        progress: Whether to show a progress bar.
        stack: A `contextlib.ExitStack` for what has to be closed.
    """

    def write(record):
        directory.append(record)
        board.write(record)

    found = probes(settings, model, write)
    for probe in found:
        probe.restore([record for record in earlier if record["kind"] in probe.kinds])
    found.append(
        callbacks.Evaluation(dataset.test, every=settings.eval_every, write=write, **_EVALUATED)
    )
    found += [callbacks.TrainingMetrics(write), board]
    if progress:
        bar = callbacks.Progress(settings.steps, settings.run_id)
        stack.callback(bar.close)
        found.append(bar)
    return found


def probes(settings, model, write=None):
    """The callbacks that measure on the replicas; with several workers, those on each of them.

    Args:
        settings, model: As above.
        write: Called with each record; nothing is written if None.
    """
    found = []
    for name in settings.probes:
        probe = callbacks.PROBES[name]
        if not probe.applies_to(model):
            _log.info("%s is left out: there is no such layer in %s", name, settings.run_id)
            continue
        probe = probe.from_settings(
            settings, every=settings.probe_every, at=settings.probe_steps, write=write
        )
        probe.keep_first_and_last()
        found.append(probe)
    return found
