"""Replicas: whether several can share the work of a run."""

from bnkit.settings import SettingsError


def check(settings, replicas):
    """Checks that so many replicas can share the batches of a run.

    Raises:
        SettingsError: For a setting with which they cannot.
    """
    if settings.batch_size % replicas:
        valid = f"a multiple of the {replicas} replicas"
        raise SettingsError("batch_size", settings.batch_size, valid)
    if settings.jit == "on" and replicas > 1:
        valid = f"auto or off with {replicas} replicas: what they exchange is not compiled"
        raise SettingsError("jit", settings.jit, valid)
    if settings.clip_norm is not None and replicas > 1:
        # Each replica would clip its own share, before it is that of the global batch.
        valid = f"not set with {replicas} replicas"
        raise SettingsError("clip_norm", settings.clip_norm, valid)
