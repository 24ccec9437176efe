"""One run from top to bottom: the only place where everything is put together."""

import contextlib
import functools
import logging
import pathlib

import keras
import numpy as np
import tensorflow as tf

from bnkit import callbacks, data, layers, models
from bnkit.experiment import interrupt
from bnkit.experiment.description import describe
from bnkit.experiment.watchers import watchers
from bnkit.losses import HalfSquaredError
from bnkit.store import ENDED, RunDir, RunError
from bnkit.training import Clock, Diverged, Trainer

# A run of hours loses at most this many steps to a crash; Ctrl-C loses none.
_CHECKPOINT_EVERY = 500

_log = logging.getLogger(__name__)


def run(settings, study_dir, *, data_dir=None, resume=True, command=(), progress=True):
    """Trains and measures as `settings` say; everything lands in `study_dir/RUN/`.

    A run that is already there and ended is left as it is; an interrupted one goes on from its
    checkpoint; both unless `resume` is false. Ctrl-C ends the run after the steps at hand, with a
    checkpoint; a third one ends it at once.

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
        ValueError: for settings that cannot be run on this machine or with these data.
        RunError: if another process is at the same run, or its data have changed.
    """
    clock = Clock()
    with RunDir(pathlib.Path(study_dir) / settings.run_id) as directory:
        earlier = directory.status if resume else None
        if earlier and earlier["status"] in ENDED:
            _log.info("%s is already measured; --noresume measures it again", directory.path)
            return directory.path
        with clock("data"):
            dataset = _dataset(settings, data_dir, progress)
            batches = data.Batches(dataset.train, settings.batch_size, seed=settings.seed)
        with _precision(settings.precision), clock("compile"):
            trainer = _trainer(settings, dataset, clock)
            if ":" in settings.norm:
                _check_users_layer(trainer.model, dataset.prepare(batches.stack(0, 1)[0][0]))
        save_status = functools.partial(_save_status, directory, trainer)
        checkpoint = callbacks.Checkpoint(
            directory.checkpoints,
            every=_CHECKPOINT_EVERY,
            metrics_length=directory.metrics_length,
            on_save=lambda: save_status("running"),
        )
        checkpoint.set_trainer(trainer)
        length = checkpoint.restore() if earlier else None
        if length is None:
            directory.start(describe(settings, study_dir, command, dataset, trainer))
        else:
            _check_same_data(directory, dataset)
            directory.truncate_metrics(length)
            clock.go_on(earlier["seconds"])
            directory.set_status("running", steps=trainer.step, seconds=earlier["seconds"])
            _log.info("%s goes on from step %d", directory.path, trainer.step)
        with contextlib.ExitStack() as stack:
            records = directory.records() if trainer.step else []
            watching = watchers(
                settings, trainer.model, dataset, directory, records, progress, stack
            )
            try:
                with interrupt.between_calls(trainer.model):
                    trainer.fit(batches, settings.steps, [checkpoint, *watching])
                    if trainer.step < settings.steps:
                        checkpoint.save()
            except Diverged as error:
                save_status("diverged", str(error))
            except KeyboardInterrupt:
                save_status("interrupted", "stopped by hand, in the middle of a call")
            except Exception as error:
                save_status("failed", f"{type(error).__name__}: {error}")
                raise
            else:
                if trainer.step < settings.steps:
                    save_status("interrupted", "stopped by hand")
                    _log.info("the same command goes on from step %d", trainer.step)
                else:
                    save_status("done")
        return directory.path


def _dataset(settings, data_dir, progress):
    if settings.is_linear:
        return data.load_gaussian(settings.samples, int(settings.width), settings.seed)
    return data.load(settings.dataset, data_dir=data_dir, progress=progress)


def _trainer(settings, dataset, clock):
    keras.utils.set_random_seed(settings.seed)
    strategy = _strategy(settings.strategy)
    with strategy.scope():
        norm = layers.get(settings.norm)
        if settings.sync_norm:
            norm = layers.synchronized(norm)
        model = _model(settings, norm, dataset)
        if settings.optimizer == "adam":
            optimizer = keras.optimizers.Adam(settings.lr)
        else:
            optimizer = keras.optimizers.SGD(settings.lr, momentum=settings.momentum)
        if settings.is_linear:
            loss, metrics = HalfSquaredError(), {}
        else:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            metrics = {"accuracy": keras.metrics.sparse_categorical_accuracy}
        return Trainer(
            model,
            optimizer,
            loss,
            strategy=strategy,
            prepare=dataset.prepare,
            metrics=metrics,
            weight_decay=settings.weight_decay,
            clock=clock,
        )


def _model(settings, norm, dataset):
    if settings.is_linear:
        return models.deep_linear(
            norm,
            settings.depth,
            int(settings.width),
            norm_last=settings.norm_last,
            seed=settings.seed,
        )
    return models.vgg(
        norm,
        depth=int(settings.model.removeprefix("vgg")),
        width=settings.width,
        classes=dataset.classes,
        input_shape=dataset.input_shape,
        activation=settings.activation,
        seed=settings.seed,
    )


def _strategy(name):
    if name == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus] or ["CPU:0"])


def _save_status(directory, trainer, state, reason=""):
    seconds = {**trainer.clock.seconds, "total": trainer.clock.total}
    directory.set_status(state, reason=reason, steps=trainer.step, seconds=seconds)


def _check_users_layer(model, x):
    """That a layer from the user's code gives finite values on the first batch."""
    norms = {layer.name: layer.output for layer in model.layers if layer.name.startswith("norm")}
    upto = keras.Model(model.input, norms)
    outputs, _ = upto.stateless_call(
        [v.value for v in upto.trainable_variables],
        [v.value for v in upto.non_trainable_variables],
        x,
        training=True,
    )
    for name, values in outputs.items():
        if not np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(values, "float32"))).all():
            raise ValueError(
                f"the normalisation {name} must give finite values on the first batch. "
                f"Received: {values.shape} values that are not all finite"
            )


def _check_same_data(directory, dataset):
    measured_on = directory.description["data"]["fingerprint"]
    if measured_on != dataset.fingerprint:
        raise RunError(
            f"{directory.path} was begun on data with fingerprint {measured_on}; those here have "
            f"{dataset.fingerprint}. Use --noresume to start it again, or another --study"
        )


@contextlib.contextmanager
def _precision(name):
    """Variables stay float32; `bfloat16` is what the layers compute in."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
