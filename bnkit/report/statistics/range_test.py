"""Range tests: runs whose learning rate rises from tiny to far too large (Smith 2017)."""

import numpy as np

from bnkit.schedules import learning_rate

# The loss is smoothed over this share of the steps.
SMOOTHED = 0.05


def with_rates(train):
    """The training records of one range test with its rate at each step, and the loss smoothed.

    Args:
        train: As from `load_runs`, of one run.

    Returns:
        A copy: `rate` is the learning rate of the step, `loss` the mean over `SMOOTHED` of the
        steps around it, without those that are not finite; it is NaN where there are none.
    """
    steps = train["steps"].iloc[0]
    window = max(round(SMOOTHED * steps), 1)
    losses = train["loss"].astype(float)
    losses = losses.where(np.isfinite(losses))
    return train.assign(
        rate=learning_rate(train["step"], train["lr"].iloc[0], steps, "range", ops=np),
        loss=losses.rolling(window, min_periods=1, center=True).mean(),
    )
