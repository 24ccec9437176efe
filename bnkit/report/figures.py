"""Every figure of a report: how it is drawn, what is seen, and which records it needs."""

import collections.abc
import dataclasses
import functools

from bnkit.report import curves, landscape, seconds, shift, step_size
from bnkit.report.curves import accuracy, loss
from bnkit.report.landscape import gradient_predictiveness, loss_band, smoothness
from bnkit.report.seconds import time_spent
from bnkit.report.shift import covariate_shift
from bnkit.report.step_size import distance_over_step_size

__all__ = [
    "FIGURES",
    "Entry",
    "accuracy",
    "covariate_shift",
    "distance_over_step_size",
    "gradient_predictiveness",
    "loss",
    "loss_band",
    "smoothness",
    "time_spent",
]


def _classifies(runs):
    return not all(run.is_regression for run in runs)


def _goes_in_random_directions(runs):
    return any(
        "random_landscape" in run.records or "random_landscape" in run.settings.get("probes", ())
        for run in runs
    )


@dataclasses.dataclass(frozen=True)
class Entry:
    """One figure of a report.

    `draw(*frames) -> Figure` and `data(*frames) -> DataFrame` (exactly what is drawn) take the
    frames of `kinds`, in this order. `needs` maps those kinds that the figure cannot do without to
    the column that must hold a value. `applies(runs) -> bool` tells whether there is anything of
    the sort to expect of these runs: it is no loss where there is not.
    """

    name: str
    title: str
    draw: collections.abc.Callable
    data: collections.abc.Callable
    kinds: tuple
    needs: dict
    caption: str
    source: str
    applies: collections.abc.Callable = lambda runs: True

    def missing(self, frames):
        """The first kind in `frames` (by kind) without the values needed, or None."""
        for kind, column in self.needs.items():
            if column not in frames[kind] or not frames[kind][column].notna().any():
                return kind
        return None


_DIRECTIONS = (
    "and over the directions d of a step. d is Gaussian, scaled to the norm of the gradient, so "
    "that s means the same distance as along the gradient."
)
_NOT_SHOWN = "The paper says that random directions behave as the gradient does."

FIGURES = (
    Entry(
        "accuracy",
        "Accuracy",
        curves.accuracy,
        curves.accuracy_data,
        ("train", "eval"),
        {"train": "accuracy"},
        f"Share of correct answers on every training batch (thin) and its running mean over "
        f"{curves.WINDOW} steps (thick); right, on the test split with the moving statistics.",
        "Fig 1a and 1b of the paper.",
        applies=_classifies,
    ),
    Entry(
        "loss",
        "Loss",
        curves.loss,
        curves.loss_data,
        ("train", "eval"),
        {"train": "loss"},
        "L(θ), without the weight-decay term, on every training batch (thin), its running mean "
        f"over {curves.WINDOW} steps (thick); right, on the test split.",
        "Fig 5b of the paper (of the deep linear network).",
    ),
    Entry(
        "loss_band",
        "Loss along the gradient",
        landscape.loss_band,
        landscape.loss_band_data,
        ("landscape",),
        {"landscape": "loss_after_step"},
        "The area spans min and max over s of L(θ - s g), with g = ∇L(θ) on the same batch and "
        "normalisation in training mode; the line is L(θ). A narrow area is a landscape that a "
        "step along the gradient finds as expected. An area that leaves the panel with a triangle "
        "is unbounded.",
        "Fig 4a and 10 of the paper.",
    ),
    Entry(
        "gradient_predictiveness",
        "Gradient predictiveness",
        landscape.gradient_predictiveness,
        landscape.gradient_predictiveness_data,
        ("landscape",),
        {"landscape": "gradient_distance"},
        "The area spans min and max over s of ‖∇L(θ - s g) - g‖₂: how far the gradient moves from "
        "where it was when one goes along it. Low is predictive.",
        "Fig 4b and 10 of the paper.",
    ),
    Entry(
        "smoothness",
        "Effective β-smoothness",
        landscape.smoothness,
        landscape.smoothness_data,
        ("landscape",),
        {"landscape": "smoothness"},
        "β = max over s of ‖∇L(θ - s g) - g‖₂ / (s ‖g‖₂). The dashed line is 2/lr, the plateau "
        "that gradient descent settles on whatever the normalisation: peaks and the first "
        "steps tell the arms apart, the mean does not.",
        "Fig 4c and 10 of the paper.",
    ),
    Entry(
        "distance_over_step_size",
        "Gradient distance over the step size",
        step_size.distance_over_step_size,
        step_size.distance_over_step_size_data,
        ("landscape",),
        {"landscape": "gradient_distance"},
        "‖∇L(θ - s g) - g‖₂ and L(θ - s g) against s at the first, a middle and the last probed "
        "step. Lower is smoother; a distance that grows in proportion to s, as on a quadratic, "
        "rises by one decade in one decade of s. A triangle at the top is a value without bound.",
        "Fig 11 of the paper (of the deep linear network).",
    ),
    Entry(
        "random_loss_band",
        "Loss along random directions",
        functools.partial(landscape.loss_band, direction=landscape.RANDOM),
        landscape.loss_band_data,
        ("random_landscape",),
        {"random_landscape": "loss_after_step"},
        f"The area spans min and max of L(θ - s d) over s {_DIRECTIONS} The line is L(θ). "
        f"{_NOT_SHOWN}",
        "Not shown in the paper.",
        applies=_goes_in_random_directions,
    ),
    Entry(
        "random_gradient_predictiveness",
        "Change of the gradient along random directions",
        functools.partial(landscape.gradient_predictiveness, direction=landscape.RANDOM),
        landscape.gradient_predictiveness_data,
        ("random_landscape",),
        {"random_landscape": "gradient_distance"},
        f"The area spans min and max of ‖∇L(θ - s d) - g‖₂, with g = ∇L(θ), over s {_DIRECTIONS} "
        f"{_NOT_SHOWN}",
        "Not shown in the paper.",
        applies=_goes_in_random_directions,
    ),
    Entry(
        "random_smoothness",
        "Effective β-smoothness along random directions",
        functools.partial(landscape.smoothness, direction=landscape.RANDOM),
        functools.partial(landscape.smoothness_data, direction=landscape.RANDOM),
        ("random_landscape",),
        {"random_landscape": "smoothness"},
        f"β = max of ‖∇L(θ - s d) - g‖₂ / (s ‖d‖₂) over s {_DIRECTIONS} Nothing drives it to 2/lr, "
        f"as gradient descent does β along the gradient. {_NOT_SHOWN}",
        "Not shown in the paper.",
        applies=_goes_in_random_directions,
    ),
    Entry(
        "covariate_shift",
        "Internal covariate shift",
        shift.covariate_shift,
        shift.covariate_shift_data,
        ("ics",),
        {"ics": "l2"},
        "G is the gradient of the layer's weights at step t, G' the same on the same batch once "
        "all layers before it (and only these) have made their update: left ‖G - G'‖₂, right "
        "their cosine. The first layer cannot shift. It depends on the learning rate and on how "
        "far training is: compare arms at the same training loss.",
        "Definition 2.1 and Fig 3 of the paper.",
    ),
    Entry(
        "time_spent",
        "Time spent",
        seconds.time_spent,
        lambda frame: frame,
        ("seconds",),
        {"seconds": "seconds"},
        "Wall-clock seconds of each run by part.",
        "Not shown in the paper.",
    ),
)
