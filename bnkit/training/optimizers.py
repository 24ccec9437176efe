"""The optimizer of a run, with its learning rate over time."""

import keras

from bnkit import further_arguments
from bnkit.schedules import learning_rate


def make(settings):
    """The Keras optimizer of the settings.

    Raises:
        ValueError: For arguments that the optimizer does not take.
    """
    arguments = further_arguments.parse(settings.optimizer_args or "")
    if settings.optimizer == "sgd":
        arguments["momentum"] = settings.momentum
    by_name = {name.lower(): value for name, value in vars(keras.optimizers).items()}
    try:
        optimizer = by_name[settings.optimizer](
            learning_rate=_rate(settings), global_clipnorm=settings.clip_norm, **arguments
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`optimizer_args` must be arguments of Keras's {settings.optimizer}: {error}. "
            f"Received: optimizer_args={settings.optimizer_args!r}"
        ) from error
    if settings.precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _rate(settings):
    if settings.schedule == "constant" and not settings.warmup:
        return settings.lr
    return Rate(settings.lr, settings.steps, settings.schedule, settings.warmup)


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of each step, see `bnkit.schedules.learning_rate`.

    Args:
        lr, steps, schedule, warmup: As there.
    """

    def __init__(self, lr, steps, schedule, warmup=0):
        self.lr, self.steps, self.schedule, self.warmup = lr, steps, schedule, warmup

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        return learning_rate(step, **self.get_config(), ops=keras.ops)

    def get_config(self):
        names = ("lr", "steps", "schedule", "warmup")
        return {name: getattr(self, name) for name in names}
