"""From settings to what trains: data, strategy, network, optimizer and trainer."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from bnkit import data, families, layers, memory, models
from bnkit.settings import MULTIWORKER
from bnkit.training import Trainer, Workers, cluster, optimizers

_POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def workers(settings):
    """The `Workers` that make a run of these settings: this process, unless there are several.

    Raises:
        ClusterError: If it is not known who they are.
        WorkerLost: If one does not come.
    """
    if settings.strategy != MULTIWORKER:
        return Workers()
    return Workers(cluster.connect())


def load_dataset(settings, data_dir, progress, input="auto"):
    """What the model of the settings trains on.

    Raises:
        ValueError: For a data set that cannot be found.
    """
    if families.get(settings.model).data is families.Data.GAUSSIAN:
        return data.load_gaussian(settings.samples, int(settings.width), settings.seed)
    return data.load(
        settings.dataset,
        data_dir=data_dir,
        train_split=settings.train_split,
        test_split=settings.test_split,
        image_size=settings.image_size,
        progress=progress,
        input=input,
    )


def make_batches(settings, dataset):
    """The batches of a run: read ahead where the disk may have to be waited for."""
    x, installed = dataset.train.x, memory.installed_bytes()
    # What is left of the memory keeps the pages of smaller sets once they were read.
    is_large = installed is not None and x.nbytes > installed / 2
    return data.Batches(
        dataset.train,
        settings.batch_size,
        seed=settings.seed,
        augment=settings.augment,
        reads_ahead=is_large and isinstance(x, np.memmap),
    )


def prepare(settings, workers, data_dir, input, progress, clock):
    """The data of a run, its batches, and its `Trainer`, at its initial weights.

    Raises:
        ValueError: As the functions above and below say.
        ClusterError: If other workers have other settings or data.
    """
    with clock("data"):
        dataset = load_dataset(settings, data_dir, progress, input)
        batches = make_batches(settings, dataset)
    workers.check_same(settings.run_id, dataset.fingerprint)
    with clock("compile"):
        trainer = make_trainer(settings, dataset, batches, clock)
    return dataset, batches, trainer


def make_trainer(settings, dataset, batches, clock):
    """The `Trainer` of a run, at its initial weights.

    Raises:
        ValueError: For a layer or model from the user's own code that cannot be built, or does not
            give finite values on the first of the batches.
    """
    keras.utils.set_random_seed(settings.seed)
    # float32 is what it says: GPUs would multiply with ten bits of the mantissa, and what probes
    # measure are small differences of gradients.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    strategy = _strategy(settings.strategy)
    with _precision(settings.precision):
        with strategy.scope():
            model, loss_fn, metrics = models.from_settings(settings, _norm(settings), dataset)
            trainer = Trainer(
                model,
                optimizers.make(settings),
                loss_fn,
                strategy=strategy,
                prepare=dataset.prepare,
                metrics=metrics,
                weight_decay=settings.weight_decay,
                jit_compile=_is_compiled(settings.jit, strategy),
                twin=_twin(settings, dataset),
                traces_ahead=settings.strategy != MULTIWORKER,
                clock=clock,
            )
        if ":" in settings.norm or families.is_users(settings.model):
            _check_users_code(settings, model, dataset.prepare(batches.stack(0, 1)[0][0]))
    return trainer


def _twin(settings, dataset):
    """The network in the precision of the probes; None if that is the one that is trained in."""
    if settings.probe_precision in ("training", settings.precision):
        return None
    with _precision(settings.probe_precision):
        return models.from_settings(settings, _norm(settings), dataset).model


def _norm(settings):
    norm = layers.get(settings.norm)
    return layers.synchronized(norm) if settings.sync_norm else norm


def _is_compiled(jit, strategy):
    """Whether XLA compiles the training step."""
    if jit == "auto":
        first = tf.DeviceSpec.from_string(strategy.extended.worker_devices[0])
        return strategy.num_replicas_in_sync == 1 and first.device_type == "GPU"
    return jit == "on"


def replicas(settings):
    """How many replicas share the work of a run of these settings."""
    if settings.strategy == MULTIWORKER:
        return cluster.connect().num_replicas_in_sync
    return len(_devices(settings.strategy))


def _strategy(name):
    if name == MULTIWORKER:
        return cluster.connect()
    devices = _devices(name)
    log = tf.get_logger()
    level = log.level
    log.setLevel("WARNING")  # In a notebook it would list the devices, which bnkit does.
    try:
        return tf.distribute.MirroredStrategy(devices)
    finally:
        log.setLevel(level)


def _devices(name):
    """Names of the devices, each for a replica."""
    if name == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.list_logical_devices("GPU")
    return [gpu.name for gpu in gpus] or ["CPU:0"]


@contextlib.contextmanager
def _precision(name):
    """Lets layers compute in this type; their variables stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_users_code(settings, model, x):
    """Checks that layers or a model from the user's code give finite values on the first batch."""
    if families.is_users(settings.model):
        looked_at, named = model, ["network"]
    else:
        norms = [layer for layer in model.layers if layer.name.startswith("norm")]
        looked_at = keras.Model(model.input, [layer.output for layer in norms])
        named = [f"normalisation {layer.name}" for layer in norms]
    outputs, _ = looked_at.stateless_call(
        [v.value for v in looked_at.trainable_variables],
        [v.value for v in looked_at.non_trainable_variables],
        x,
        training=True,
    )
    for name, values in zip(named, tf.nest.flatten(outputs), strict=True):
        if not np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(values, "float32"))).all():
            raise ValueError(
                f"the {name} must give finite values on the first batch. "
                f"Received: {values.shape} values that are not all finite"
            )
