"""What watches a run: the callbacks that measure, record and show, in the order of their calls."""

import logging

import keras

from bnkit import callbacks
from bnkit.layers import BatchNorm
from bnkit.probes.capture import parts

_EVALUATION_BATCH = 500

_log = logging.getLogger(__name__)


def watchers(settings, model, dataset, directory, earlier, progress, stack):
    """The callbacks of a run.

    Args:
        settings: `bnkit.Settings`.
        model: The model to be trained.
        dataset: Has the split `test`.
        directory: The `RunDir` that takes the records.
        earlier: Records of an interrupted run that goes on.
        progress: Whether to show a progress bar.
        stack: A `contextlib.ExitStack` for what has to be closed.
    """
    # TensorBoard keeps about a thousand points of a curve, and each takes a millisecond to write.
    board = callbacks.TensorBoard(directory.tensorboard, every=-(-settings.steps // 1000))
    stack.callback(board.close)
    board.write_settings("/".join(directory.path.parts[-2:]), settings.to_dict())
    board.restore(earlier)
    stack.callback(board.write_outcome, directory.path)

    def write(record):
        directory.append(record)
        board.write(record)

    found = []
    for name in settings.probes:
        if name == "batch_norm_identity" and not _has_batch_norm(model):
            _log.info("batch_norm_identity is left out: %s has no batch norm", settings.run_id)
            continue
        probe = _PROBES[name](settings, every=settings.probe_every, write=write)
        probe.restore([record for record in earlier if record["kind"] in probe.kinds])
        found.append(probe)
    found.append(
        callbacks.Evaluation(
            dataset.test, every=settings.eval_every, batch_size=_EVALUATION_BATCH, write=write
        )
    )
    found += [callbacks.TrainingMetrics(write), board]
    if progress:
        bar = callbacks.Progress(settings.steps, settings.run_id)
        stack.callback(bar.close)
        found.append(bar)
    return found


def _has_batch_norm(model):
    kinds = (BatchNorm, keras.layers.BatchNormalization)
    return any(isinstance(part, kinds) for part in parts(model))


def _landscape(settings, **options):
    return callbacks.Landscape(settings.step_sizes, **options)


def _random_landscape(settings, **options):
    return callbacks.RandomLandscape(
        settings.step_sizes, directions=settings.directions, seed=settings.seed, **options
    )


def _activations(settings, **options):
    # The same units in every run, whatever its seed.
    return callbacks.Activations(**options)


def _curvature(settings, **options):
    return callbacks.Curvature(seed=settings.seed, **options)


_PROBES = {
    "landscape": _landscape,
    "ics": lambda settings, **options: callbacks.InternalCovariateShift(**options),
    "activations": _activations,
    "random_landscape": _random_landscape,
    "curvature": _curvature,
    "gradient_noise": lambda settings, **options: callbacks.GradientNoise(**options),
    "weights": lambda settings, **options: callbacks.Weights(**options),
    "batch_norm_identity": lambda settings, **options: callbacks.BatchNormIdentity(**options),
}
