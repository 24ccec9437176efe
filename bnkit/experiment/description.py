"""What identifies a run, and what it ran on."""

import os
import pathlib

import tensorflow as tf

from bnkit import backend, store
from bnkit.experiment import arithmetic


def describe(settings, study_dir, command, dataset, trainer):
    """The description of a run, as `RunDir.start` writes it."""
    described = store.describe(
        pathlib.Path(study_dir) / settings.run_id,
        settings.to_dict(),
        command=command,
        data={
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "train_size": len(dataset.train),
            "test_size": len(dataset.test),
            "classes": dataset.classes,
            "input_shape": list(dataset.input_shape),
        },
        device={
            "strategy": type(trainer.strategy).__name__,
            "workers": trainer.workers.count,
            "replicas": trainer.replicas,
            "devices": [_device_name(d) for d in trainer.strategy.extended.worker_devices],
            "cores": os.cpu_count(),
            # Records are the same bit for bit only with the same number of threads.
            "threads": tf.config.threading.get_intra_op_parallelism_threads() or backend.threads(),
            "onednn": backend.onednn(),
        },
        parameters=trainer.model.count_params(),
    )
    return described | {"forward_flop": arithmetic.forward_flop(trainer.model)}


def device_text(trainer):
    """The devices and the size of the network, in words."""
    devices = [_device_name(d) for d in trainer.strategy.extended.worker_devices]
    named = f"{len(devices)} x {devices[0]}" if len(devices) > 1 else devices[0]
    cores = f" with {os.cpu_count()} cores" if devices == ["CPU"] else ""
    workers = f"{trainer.workers.count} workers, each with " if trainer.workers.count > 1 else ""
    return f"{workers}{named}{cores}, {trainer.model.count_params():,} parameters"


def _device_name(device):
    """The model of a GPU, or the kind of any other device."""
    spec = tf.DeviceSpec.from_string(device)
    if spec.device_type != "GPU":
        return spec.device_type
    gpu = tf.config.list_physical_devices("GPU")[spec.device_index]
    return tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
