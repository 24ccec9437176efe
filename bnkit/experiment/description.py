"""What identifies a run, and what it ran on: the content of `settings.json`."""

import os
import pathlib
import platform
from datetime import datetime, timezone

import keras
import numpy as np
import tensorflow as tf

import bnkit


def describe(settings, study_dir, command, dataset, trainer):
    """The content of `settings.json`."""
    return {
        "study": pathlib.Path(study_dir).name,
        "run": settings.run_id,
        "settings": settings.to_dict(),
        "command": list(command),
        "versions": {
            "bnkit": bnkit.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "train_size": len(dataset.train),
            "test_size": len(dataset.test),
            "classes": dataset.classes,
            "input_shape": list(dataset.input_shape),
        },
        "device": {
            "strategy": type(trainer.strategy).__name__,
            "replicas": trainer.replicas,
            "devices": [_device_name(d) for d in trainer.strategy.extended.worker_devices],
            "cores": os.cpu_count(),
        },
        "parameters": trainer.model.count_params(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _device_name(device):
    """The model of a GPU, or the kind of any other device."""
    spec = tf.DeviceSpec.from_string(device)
    if spec.device_type != "GPU":
        return spec.device_type
    gpu = tf.config.list_physical_devices("GPU")[spec.device_index]
    return tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
