"""Before anything is made on disk: whether there is what is asked for, and whether it fits."""

import dataclasses
import os
import sys

from bnkit import backend, families, layers, memory, sharing
from bnkit.settings import SettingsError

# Of NVIDIA, of NVIDIA under Windows, of AMD.
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def check(grid, data_dir=None, epochs=None):
    """Checks what the settings cannot know: code and data of the user's own, and the data's size.

    Args:
        grid: List of `bnkit.Settings`.
        data_dir: Where TFDS keeps its sets.
        epochs: How many times to go through the training data, in place of `steps`.

    Returns:
        The grid, with the steps that make so many epochs.

    Raises:
        ValueError: If there is no such layer, model, data set or split; if the model does not fit
            the data or the normalisation, an optimizer does not take its arguments, or the GPUs
            cannot share the batches.
    """
    paths = {settings.norm for settings in grid if ":" in settings.norm}
    if paths:
        backend.choose_kernels()
        with backend.without_start_up_messages():
            import keras  # noqa: F401
        for path in sorted(paths):
            layers.check(path)
    forms = _forms_of_data(grid, data_dir)
    grid = [_in_steps(settings, forms, epochs) for settings in grid]
    for settings in grid:
        if _data_of(settings) in forms:
            _check_fit(settings, forms[_data_of(settings)])
    _check_replicas(grid)
    _check_optimizers(grid)
    _check_models(grid, forms)
    return grid


def _data_of(settings):
    """Which data a run takes: the arguments of `data.check`, as pairs."""
    names = {"name": "dataset", "train_split": None, "test_split": None, "image_size": None}
    return tuple((name, getattr(settings, field or name)) for name, field in names.items())


def _forms_of_data(grid, data_dir):
    """`_data_of` -> `data.Form`, of all data but those that are drawn for the run."""
    sets = {
        _data_of(settings)
        for settings in grid
        if families.get(settings.model).data is families.Data.IMAGES
    }
    if not sets:
        return {}
    from bnkit import data

    return {one: data.check(**dict(one), data_dir=data_dir) for one in sorted(sets, key=str)}


def _in_steps(settings, forms, epochs):
    """The settings with as many steps as make the epochs."""
    if epochs is None:
        return settings
    form = forms.get(_data_of(settings))
    samples = settings.samples if form is None else form.train_size
    steps = epochs * max(samples // settings.batch_size, 1)
    return dataclasses.replace(settings, steps=steps)


def _check_fit(settings, form):
    """Checks that the data are enough, and of a kind that the settings can take."""
    if settings.batch_size > form.train_size:
        most = f"at most the number of training samples, {form.train_size}"
        raise SettingsError("batch_size", settings.batch_size, most)
    memory.check_batch(settings, form.input_shape)
    if len(form.input_shape) > 1:
        return
    vectors = f"{settings.dataset} holds vectors of {form.input_shape[0]} features"
    if not families.get(settings.model).takes_vectors:
        valid = f"one that takes vectors, such as mlp: {vectors}"
        raise SettingsError("model", settings.model, valid)
    if settings.augment:
        raise SettingsError("augment", settings.augment, f"empty: {vectors}")


def _check_replicas(grid):
    """Checks that there can be a replica on each of the GPUs."""
    asked = [settings for settings in grid if settings.strategy == "auto"]
    replicas = max(_gpu_count(), 1) if asked else 1
    for settings in asked:
        sharing.check(settings, replicas)


def _gpu_count():
    """How many GPUs a run would mirror over, without taking any of them.

    TensorFlow, which takes seconds to load, is asked only where the system has a driver for GPUs.
    """
    if "tensorflow" not in sys.modules and not any(map(os.path.exists, _GPU_DRIVERS)):
        return 0
    backend.choose_kernels()
    with backend.without_start_up_messages():
        import tensorflow as tf

        return len(tf.config.list_physical_devices("GPU"))


def _check_optimizers(grid):
    """Makes the optimizers that have further arguments."""
    asked = {(s.optimizer, s.optimizer_args): s for s in grid if s.optimizer_args}
    if not asked:
        return
    backend.choose_kernels()
    with backend.without_start_up_messages():
        from bnkit.training import optimizers
    for settings in asked.values():
        optimizers.make(settings)


def _check_models(grid, forms):
    """Makes the user's own models once with each normalisation, on data of these forms."""
    asked = [settings for settings in grid if families.is_users(settings.model)]
    if not asked:
        return
    backend.choose_kernels()
    with backend.without_start_up_messages():
        import tensorflow as tf

        from bnkit import models

        tf.config.list_physical_devices()
    if len(grid) > 1 or grid[0].strategy == "cpu":
        # The processes of a study's runs need the GPUs, and this one would keep their memory.
        tf.config.set_visible_devices([], "GPU")
    different = {(s.model, s.model_args, s.norm, _data_of(s)): s for s in asked}
    for settings in different.values():
        form = forms[_data_of(settings)]
        models.check(settings, form.input_shape, form.classes)
