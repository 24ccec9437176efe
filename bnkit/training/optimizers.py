"""The optimizer of a run, with its learning rate over time."""

import keras

from bnkit import further_arguments
from bnkit.schedules import RANGE

# Steps of the schedule "step" (He et al. 2016, section 4.2), as shares of the run, and the factor.
_DROPS, _FACTOR = (0.5, 0.75), 0.1


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
    """The learning rate of each step.

    Over the first `warmup` steps it rises linearly: `lr (t + 1) / (warmup + 1)` at step t. After
    them it is `lr` times 1 ("constant"), `(1 + cos(pi t')) / 2` ("cosine"), 1, 0.1 and 0.01 in the
    first half, the third and the fourth quarter ("step"), or `10^(-4 (1 - t'))` ("range": the range
    test of Smith 2017, rising evenly in the logarithm), t' being the share of the steps after the
    warm-up that have been made.

    Args:
        lr: The largest rate.
        steps: Number of updates of the run.
        schedule: "constant", "cosine", "step" or "range".
        warmup: Steps over which it rises, at most `steps`.
    """

    def __init__(self, lr, steps, schedule, warmup=0):
        self.lr, self.steps, self.schedule, self.warmup = lr, steps, schedule, warmup

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        share = (step - self.warmup) / max(self.steps - self.warmup, 1)
        share = keras.ops.clip(share, 0.0, 1.0)
        if self.schedule == "cosine":
            factor = (1 + keras.ops.cos(3.141592653589793 * share)) / 2
        elif self.schedule == "step":
            dropped = sum(keras.ops.cast(share >= drop, "float32") for drop in _DROPS)
            factor = keras.ops.power(_FACTOR, dropped)
        elif self.schedule == "range":
            factor = RANGE ** (1 - share)
        else:
            factor = 1.0
        rising = (step + 1) / (self.warmup + 1)
        return self.lr * keras.ops.where(step < self.warmup, rising, factor)

    def get_config(self):
        names = ("lr", "steps", "schedule", "warmup")
        return {name: getattr(self, name) for name in names}
