"""The story of a run."""

import contextlib
import functools
import logging
import pathlib

from bnkit import callbacks, data
from bnkit.experiment import assembly, interrupt
from bnkit.experiment.description import describe
from bnkit.experiment.watchers import watchers
from bnkit.store import ENDED, RunDir, RunError
from bnkit.training import Clock, Diverged

# A run of hours loses at most this many steps to a crash; Ctrl-C loses none.
_CHECKPOINT_EVERY = 500

_log = logging.getLogger(__name__)


def run(settings, study_dir, *, data_dir=None, resume=True, command=(), progress=True):
    """Trains and measures as `settings` say; everything lands in `study_dir/RUN/`.

    A run that has already ended is left as it is; an interrupted one goes on from its checkpoint;
    both unless `resume` is false. Ctrl-C ends the run after the current steps, with a checkpoint; a
    third one ends it at once.

    Args:
        settings: `bnkit.Settings`.
        study_dir: Directory of the study, made if needed.
        data_dir: Where TensorFlow Datasets looks for its data.
        resume: Whether to keep what an earlier run of the same settings measured.
        command: The command line that asked for the run, recorded to repeat it.
        progress: Whether to show progress bars.

    Returns:
        The directory of the run; its `status.json` says how it ended.

    Raises:
        ValueError: For settings that cannot be run on this machine or with these data.
        RunError: If another process is writing to the same run, or its data have changed.
    """
    clock = Clock()
    with RunDir(pathlib.Path(study_dir) / settings.run_id) as directory:
        earlier = directory.status if resume else None
        if earlier and earlier["status"] in ENDED:
            _log.info("%s is already measured; --noresume measures it again", directory.path)
            return directory.path
        with clock("data"):
            dataset = assembly.load_dataset(settings, data_dir, progress)
            batches = data.Batches(dataset.train, settings.batch_size, seed=settings.seed)
        with clock("compile"):
            trainer = assembly.make_trainer(settings, dataset, batches, clock)
        save_status = functools.partial(_save_status, directory, trainer)
        checkpoint = _checkpoint(directory, trainer, save_status)
        if not (earlier and _goes_on(directory, dataset, trainer, checkpoint, earlier)):
            directory.start(describe(settings, study_dir, command, dataset, trainer))
        with contextlib.ExitStack() as stack:
            records = directory.records() if trainer.step else []
            watching = watchers(
                settings, trainer.model, dataset, directory, records, progress, stack
            )
            _train(trainer, batches, settings.steps, checkpoint, watching, save_status)
        return directory.path


def _checkpoint(directory, trainer, save_status):
    """The callback that saves the run now and then, with a status that tells of its progress."""
    checkpoint = callbacks.Checkpoint(
        directory.checkpoints,
        every=_CHECKPOINT_EVERY,
        metrics_length=directory.metrics_length,
        on_save=functools.partial(save_status, "running"),
    )
    checkpoint.set_trainer(trainer)
    return checkpoint


def _goes_on(directory, dataset, trainer, checkpoint, earlier):
    """Brings everything to the newest checkpoint; whether there is one.

    Raises:
        RunError: If the run was begun on other data.
    """
    length = checkpoint.restore()
    if length is None:
        return False
    _check_same_data(directory, dataset)
    directory.truncate_metrics(length)
    trainer.clock.go_on(earlier["seconds"])
    directory.set_status("running", steps=trainer.step, seconds=earlier["seconds"])
    _log.info("%s goes on from step %d", directory.path, trainer.step)
    return True


def _check_same_data(directory, dataset):
    measured_on = directory.description["data"]["fingerprint"]
    if measured_on != dataset.fingerprint:
        raise RunError(
            f"{directory.path} was begun on data with fingerprint {measured_on}; those here have "
            f"{dataset.fingerprint}. Use --noresume to start it again, or another --study"
        )


def _train(trainer, batches, steps, checkpoint, watching, save_status):
    """Trains to the last step, or until something ends it; the status says what."""
    try:
        with interrupt.between_calls(trainer.model):
            trainer.fit(batches, steps, [checkpoint, *watching])
            if trainer.step < steps:
                checkpoint.save()
    except Diverged as error:
        save_status("diverged", str(error))
    except KeyboardInterrupt:
        save_status("interrupted", "stopped by hand, in the middle of a call")
    except Exception as error:
        save_status("failed", f"{type(error).__name__}: {error}")
        raise
    else:
        if trainer.step < steps:
            save_status("interrupted", "stopped by hand")
            _log.info("the same command goes on from step %d", trainer.step)
        else:
            save_status("done")


def _save_status(directory, trainer, state, reason=""):
    seconds = {**trainer.clock.seconds, "total": trainer.clock.total}
    directory.set_status(state, reason=reason, steps=trainer.step, seconds=seconds)
