"""Covariance of mini-batch gradients (Jastrzebski et al. 2020)."""

from bnkit.report.drawing import panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

QUANTITIES = (
    tables.Quantity("trace", "trace"),
    tables.Quantity("share", r"$\lambda_1(C)$ / trace", "linear", includes=(0.0, 1.0)),
    tables.Quantity("signal_to_noise", "signal to noise"),
)


def data(noise):
    """What `draw` draws: `quantity`, and the columns of `arms.curves`."""
    return tables.curves(arms.with_condition(noise), QUANTITIES)


def draw(noise):
    """Trace of the gradients' covariance, share of its top eigenvalue, and signal to noise.

    Args:
        noise: Records of kind "gradient_noise", as from `load_runs`.

    Returns:
        A matplotlib Figure: a row per condition, with a panel for each quantity. Without noise
        (full batches) the trace is 0, its share has no value, and signal to noise is infinite.
    """
    frame = arms.with_condition(noise)
    batches = sorted({f"{one:g}" for one in noise["batches"].dropna()}, key=float)
    footer = [
        "$C$: covariance of the gradients of",
        f"{' or '.join(batches)} mini-batches at the same weights;",
        r"signal to noise: $\|\bar g\|_2^2 \,/\, \mathrm{tr}\, C$,",
        r"$\bar g$ their mean.",
    ]
    rows = panels.by_row(QUANTITIES, panels.of_conditions(frame))
    return panels.draw("Gradient noise", data(noise), rows, footer, frame=frame)


ENTRY = Entry(
    "gradient_noise",
    "Gradient noise",
    draw,
    data,
    {"gradient_noise": "trace"},
    "Covariance C of the gradients of some mini-batches at the same weights: its trace (all "
    "the noise of a step), the share of its largest eigenvalue (1: all noise in one "
    "direction), and ‖mean gradient‖₂² / trace. Full batches have no noise: trace 0, no share, "
    "infinite signal to noise.",
    "Not shown in the paper. Jastrzebski et al. 2020 (2002.09572).",
)
