"""Covariance of mini-batch gradients (Jastrzebski et al. 2020)."""

from bnkit.report.drawing import grids, tables
from bnkit.report.figures.entry import Entry


def _footer(noise):
    batches = sorted({f"{one:g}" for one in noise["batches"].dropna()}, key=float)
    return [
        "$C$: covariance of the gradients of",
        f"{' or '.join(batches)} mini-batches at the same weights;",
        r"signal to noise: $\|\bar g\|_2^2 \,/\, \mathrm{tr}\, C$,",
        r"$\bar g$ their mean.",
    ]


FIGURE = grids.OverSteps(
    "Gradient noise",
    (
        tables.Quantity("trace", "trace"),
        tables.Quantity(
            "share", r"$\lambda_1(C)$ / trace", "linear", includes=(0.0, 1.0), possible=(0, 1)
        ),
        tables.Quantity("signal_to_noise", "signal to noise"),
    ),
    _footer,
)
ENTRY = Entry(
    "gradient_noise",
    "Gradient noise",
    FIGURE.draw,
    FIGURE.data,
    {"gradient_noise": "trace"},
    "Covariance C of the gradients of some mini-batches at the same weights: its trace (all "
    "the noise of a step), the share of its largest eigenvalue (1: all noise in one "
    "direction), and ‖mean gradient‖₂² / trace. Full batches have no noise: trace 0, no share, "
    "infinite signal to noise.",
    "Not shown in the paper. Jastrzebski et al. 2020 (2002.09572).",
)
