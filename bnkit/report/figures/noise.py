"""Covariance of mini-batch gradients (Jastrzebski et al. 2020)."""

from bnkit.report.drawing import grid
from bnkit.report.statistics import arms

QUANTITIES = (
    grid.Quantity("trace", "trace"),
    grid.Quantity("share", r"$\lambda_1(C)$ / trace", log=False, limits=(0.0, 1.0)),
    grid.Quantity("signal_to_noise", "signal to noise"),
)


def gradient_noise_data(noise):
    """What `gradient_noise` draws: `quantity`, and the columns of `arms.curves`."""
    return grid.data(arms.with_condition(noise), QUANTITIES)


def gradient_noise(noise):
    """Trace of the gradients' covariance, share of its top eigenvalue, and signal to noise.

    Args:
      noise: records of kind "gradient_noise", as from `load_runs`.

    Returns:
      A matplotlib Figure: a row per condition, with a panel for each quantity. Without noise (full
      batches) the trace is 0, its share has no value, and signal to noise is infinite.
    """
    batches = sorted({f"{one:g}" for one in noise["batches"].dropna()}, key=float)
    footer = [
        "$C$: covariance of the gradients of",
        f"{' or '.join(batches)} mini-batches at the same weights;",
        r"signal to noise: $\|\bar g\|_2^2 \,/\, \mathrm{tr}\, C$,",
        r"$\bar g$ their mean.",
    ]
    return grid.over_steps("Gradient noise", arms.with_condition(noise), QUANTITIES, footer)
