"""The story of a run."""

import contextlib
import functools
import logging
import pathlib

from bnkit import callbacks, memory, sharing
from bnkit.experiment import assembly, failure, interrupt, watchers
from bnkit.experiment.description import describe, device_text
from bnkit.store import RunDir, RunError, RunFailed, is_measured
from bnkit.training import Clock, Diverged, WorkerLost

# What a crash loses of a run at most; Ctrl-C loses nothing.
CHECKPOINT_SECONDS = 30.0

_log = logging.getLogger(__name__)


def run(
    settings,
    study_dir,
    *,
    data_dir=None,
    input="auto",
    resume=True,
    command=(),
    progress=True,
    checkpoint_seconds=CHECKPOINT_SECONDS,
    tensorboard_details=False,
):
    """Trains and measures as `settings` say; everything lands in `study_dir/RUN/`.

    A run that has already ended is left as it is; an interrupted one goes on from its checkpoint;
    both unless `resume` is false. Ctrl-C, SIGTERM and SIGHUP end the run after the current steps,
    with a checkpoint; the third of them ends it at once.

    With `strategy="multiworker"` every worker of the cluster makes the same call, before TensorFlow
    has computed anything in its process. The chief alone reads and writes the run's directory. Such
    a signal to any of them ends the run on all.

    Args:
        settings: `bnkit.Settings`.
        study_dir: Directory of the study, made if needed.
        data_dir: Where TensorFlow Datasets looks for its data.
        input: How training images are read, see `bnkit.data.load`: the batches are the same.
        resume: Whether to keep what an earlier run of the same settings measured.
        command: The command line that asked for the run, recorded to repeat it.
        progress: Whether to show progress bars.
        checkpoint_seconds: Between two checkpoints, at least.
        tensorboard_details: Whether TensorBoard gets a curve of each layer and each unit, too.

    Returns:
        The directory of the run; its `status.json` says how it ended.

    Raises:
        ValueError: For settings that cannot be run on this machine or with these data.
        RunFailed: If it fails while it trains.
        RunError: If another process is writing to the same run, its data have changed, or it has
            records and no checkpoint to go on from.
        WorkerLost: If the connection with another worker breaks. The run can go on.
        KeyboardInterrupt: For a signal before there is anything to save; on a worker that is not
            the chief, for any.
    """
    clock = Clock()
    workers = assembly.workers(settings)
    sharing.check(settings, assembly.replicas(settings))
    if not workers.is_chief:
        _assist(settings, workers, data_dir, input, progress, clock)
        return pathlib.Path(study_dir) / settings.run_id
    with (
        workers.noticed(),
        interrupt.interruption() as interruption,
        RunDir(pathlib.Path(study_dir) / settings.run_id) as directory,
    ):
        earlier = directory.status if resume else None
        if workers.of_chief(resume and is_measured(directory.path)):
            _log.info("%s is already measured; --noresume measures it again", directory.path)
            return directory.path
        dataset, batches, trainer = assembly.prepare(
            settings, workers, data_dir, input, progress, clock
        )
        _log.info(
            "%s trains on %s; how long it takes is known once it is compiled",
            *(settings.run_id, device_text(trainer)),
        )
        save_status = functools.partial(_save_status, directory, trainer)
        checkpoint = _checkpoint(directory, trainer, save_status, checkpoint_seconds)
        if not (resume and _goes_on(directory, dataset, trainer, checkpoint, earlier)):
            directory.start(describe(settings, study_dir, command, dataset, trainer))
        trainer.share_state()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(batches))
            records = directory.records() if trainer.step else []
            board = watchers.tensorboard(settings, directory, records, tensorboard_details, stack)
            watching = watchers.watchers(
                settings, trainer.model, dataset, directory, board, records, progress, stack
            )
            interruption.watch(trainer.model)
            _train(
                trainer, batches, settings.steps, checkpoint, watching, save_status, interruption
            )
        return directory.path


def _assist(settings, workers, data_dir, input, progress, clock):
    """The part of a worker that is not the chief: it computes, and leaves nothing on disk."""
    with workers.noticed(), interrupt.interruption() as interruption:
        if workers.of_chief(False):
            _log.info("%s is already measured", settings.run_id)
            return
        _, batches, trainer = assembly.prepare(settings, workers, data_dir, input, progress, clock)
        trainer.share_state()
        _log.info(
            "worker %d of %d helps with %s from step %d on; worker 0 shows and writes everything",
            *(workers.index, workers.count, settings.run_id, trainer.step),
        )
        interruption.watch(trainer.model)
        try:
            with workers.noticed(), contextlib.closing(batches):
                trainer.fit(batches, settings.steps, watchers.probes(settings, trainer.model))
        except Diverged as error:
            _log.info("%s diverged: %s", settings.run_id, error)
            return
        except WorkerLost:
            raise
        except Exception as error:
            raise RunFailed(failure.in_one_line(error, trainer)) from error
        if trainer.step < settings.steps:
            raise KeyboardInterrupt
        _log.info("all %d steps are made", settings.steps)


def _checkpoint(directory, trainer, save_status, seconds):
    """The callback that saves the run now and then, with a status that tells of its progress."""
    checkpoint = callbacks.Checkpoint(
        directory.checkpoints,
        seconds=seconds,
        metrics_length=directory.metrics_length,
        on_save=functools.partial(save_status, "running"),
    )
    checkpoint.set_trainer(trainer)
    return checkpoint


def _goes_on(directory, dataset, trainer, checkpoint, earlier):
    """Brings everything to the newest checkpoint; whether there is anything to go on with.

    Raises:
        RunError: If the run was begun on other data, or has records and no checkpoint that is
            whole.
    """
    description = directory.description
    length = checkpoint.restore() if description else None
    if length is None:
        if directory.metrics_length():
            raise RunError(
                f"{directory.path} holds records, and no checkpoint to go on from. Use --noresume "
                "to start it again, or another --study to keep it"
            )
        return False
    _check_same_data(directory, dataset)
    directory.truncate_metrics(length)
    seconds = (earlier or {}).get("seconds", {})
    trainer.clock.go_on(seconds)
    directory.set_status("running", steps=trainer.step, seconds=seconds)
    _log.info("%s goes on from step %d", directory.path, trainer.step)
    return True


def _check_same_data(directory, dataset):
    measured_on = directory.description.get("data", {}).get("fingerprint")
    if measured_on != dataset.fingerprint:
        raise RunError(
            f"{directory.path} was begun on data with fingerprint {measured_on}; those here have "
            f"{dataset.fingerprint}. Use --noresume to start it again, or another --study"
        )


def _train(trainer, batches, steps, checkpoint, watching, save_status, interruption):
    """Trains to the last step, or until something ends it; the status says what."""
    try:
        with trainer.workers.noticed():
            trainer.fit(batches, steps, [checkpoint, *watching])
        if trainer.step < steps:
            checkpoint.save()
    except Diverged as error:
        save_status("diverged", str(error))
    except WorkerLost as error:
        save_status("interrupted", str(error))
        raise
    except KeyboardInterrupt:
        save_status("interrupted", f"{interruption.reason}, in the middle of a call")
    except Exception as error:
        reason = failure.in_one_line(error, trainer)
        # The disk may be full, or the directory gone: what matters then is the first error.
        with contextlib.suppress(OSError, RunError):
            save_status("failed", reason)
        raise RunFailed(reason) from error
    else:
        if trainer.step < steps:
            save_status("interrupted", interruption.reason or "stopped on another worker")
            _log.info("the same command goes on from step %d", trainer.step)
        else:
            save_status("done")


def _save_status(directory, trainer, state, reason=""):
    seconds = {**trainer.clock.seconds, "total": trainer.clock.total}
    peak = memory.peak_bytes()
    directory.set_status(state, reason=reason, steps=trainer.step, seconds=seconds, peak_bytes=peak)
