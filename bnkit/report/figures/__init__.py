"""Every figure of a report: how it is drawn, what is seen, and which records it needs."""

import collections.abc
import dataclasses
import functools

from bnkit import kinds
from bnkit.report.drawing import lines
from bnkit.report.figures import (
    curvature,
    curves,
    distributions,
    envelope,
    landscape,
    largest_rate,
    learning_rates,
    noise,
    population,
    rate_map,
    seconds,
    shift,
    signal,
    step_size,
    theory,
    weights,
)
from bnkit.report.figures.curvature import edge_of_stability, loss_curvature
from bnkit.report.figures.curves import accuracy, loss
from bnkit.report.figures.distributions import activation_drift, activation_ridges
from bnkit.report.figures.envelope import learning_rate_envelope
from bnkit.report.figures.landscape import gradient_predictiveness, loss_band, smoothness
from bnkit.report.figures.largest_rate import largest_learning_rate
from bnkit.report.figures.noise import gradient_noise
from bnkit.report.figures.population import population_gap
from bnkit.report.figures.rate_map import smoothness_map
from bnkit.report.figures.seconds import time_spent
from bnkit.report.figures.shift import covariate_shift
from bnkit.report.figures.signal import signal_propagation
from bnkit.report.figures.step_size import distance_over_step_size
from bnkit.report.figures.theory import theorem
from bnkit.report.figures.weights import effective_lr, gradient_norm_over_depth, radial_share
from bnkit.report.statistics import training

__all__ = [
    "FIGURES",
    "Entry",
    "accuracy",
    "activation_drift",
    "activation_ridges",
    "covariate_shift",
    "distance_over_step_size",
    "edge_of_stability",
    "effective_lr",
    "gradient_noise",
    "gradient_norm_over_depth",
    "gradient_predictiveness",
    "largest_learning_rate",
    "learning_rate_envelope",
    "loss",
    "loss_band",
    "loss_curvature",
    "population_gap",
    "radial_share",
    "signal_propagation",
    "smoothness",
    "smoothness_map",
    "theorem",
    "time_spent",
]


def _all(*conditions):
    return lambda runs: all(applies(runs) for applies in conditions)


def _classifies(runs):
    return not all(run.is_regression for run in runs)


def _measures(kind, probe=None):
    """Whether records of `kind` are there, or were asked for by `probe` (one of that name)."""
    return lambda runs: any(
        kind in run.records or (probe or kind) in run.settings.get("probes", ()) for run in runs
    )


def _has_batch_norm(runs):
    return _measures("batch_norm_identity")(
        [run for run in runs if run.settings.get("norm") in ("bn", "noisy_bn")]
    )


def _has_population_gap(runs):
    """Whether the test split was evaluated with batch statistics, too."""
    return any(
        population.PARTS[0] in fields for run in runs for _, fields in run.records.get("eval", ())
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

    @property
    def group(self):
        """The part of the page that it belongs to."""
        return kinds.KINDS[self.kinds[0]].group if self.kinds[0] in kinds.KINDS else kinds.COST

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
        f"{lines.WINDOW} steps (thick), for model.fit the mean over each epoch; right, on the "
        "test split with the moving statistics.",
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
        f"over {lines.WINDOW} steps (thick), for model.fit the mean over each epoch; right, on "
        "the test split.",
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
        applies=_measures("landscape"),
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
        applies=_measures("landscape"),
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
        applies=_measures("landscape"),
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
        applies=_measures("landscape"),
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
        applies=_measures("random_landscape"),
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
        applies=_measures("random_landscape"),
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
        applies=_measures("random_landscape"),
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
        applies=_measures("ics"),
    ),
    Entry(
        "activation_ridges",
        "Inputs of the non-linearity over the run",
        distributions.activation_ridges,
        distributions.activation_ridges_data,
        ("activations",),
        {"activations": "mean"},
        "The inputs of the non-linearity, after normalisation and noise (in a linear network what "
        "the layer passes on), of one randomly chosen unit over the batch (and height and width): "
        "their density at captures spread over the run with the lowest seed, the first on top, "
        "later ones below and darker. The mark is the mean; a triangle is a mean beyond the axis. "
        "Each density is scaled to the same height; the x axis is the same for all arms of a "
        "layer. Ridges that keep their place and width are inputs with a stable distribution.",
        "Fig 1c, 2, 6 and 9 of the paper.",
        applies=_measures("activations"),
    ),
    Entry(
        "activation_drift",
        "Change of the inputs of the non-linearity",
        distributions.activation_drift,
        distributions.activation_drift_data,
        ("activations",),
        {"activations": "mean_change"},
        "By how much mean and variance over the batch (and height and width) of a non-linearity's "
        "inputs have changed since the capture before: absolute values, averaged over the randomly "
        "chosen units of the layer. Lower is a more stable distribution. Captures are of "
        "different batches: part of every change is that of the sample.",
        "Fig 8 of the paper.",
        applies=_measures("activations"),
    ),
    Entry(
        "signal_propagation",
        "Signal propagation",
        signal.signal_propagation,
        signal.signal_propagation_data,
        ("signal_propagation",),
        {"signal_propagation": "variance"},
        "The inputs of the non-linearities over depth (of the last layer its output), at the first "
        "and the last capture that all runs have: a channel's squared mean and its variance over "
        "the batch (and height and width), averaged over channels, and how many directions the "
        "samples span: effective rank (tr M)² / ‖M‖², M = HᵀH, and singular values of H above a "
        "thousandth of the largest. Where squared means outgrow variances, or ranks fall with "
        "depth, the samples of a batch become alike.",
        "Not shown in the paper; after Brock et al. 2021 and Daneshmand et al. 2020.",
        applies=_measures("signal_propagation", probe="activations"),
    ),
    Entry(
        "curvature",
        "Curvature",
        curvature.loss_curvature,
        curvature.loss_curvature_data,
        ("curvature",),
        {"curvature": "top_eigenvalue"},
        "Left the largest eigenvalue λ₁ of the Hessian H = ∇²L(θ), by Lanczos' method; right the "
        "curvature along the gradient, gᵀHg / ‖g‖², which λ₁ bounds. Both on the batch of the "
        "step, with normalisation in training mode. The relative residual below the figure says "
        "how far the estimate can be from an eigenvalue.",
        "Not shown in the paper. Cohen et al. 2021 (2103.00065); 2412.20553.",
        applies=_measures("curvature"),
    ),
    Entry(
        "edge_of_stability",
        "Edge of stability",
        curvature.edge_of_stability,
        curvature.edge_of_stability_data,
        ("curvature",),
        {"curvature": "edge_of_stability"},
        "lr λ₁ / 2, with λ₁ the largest eigenvalue of the Hessian. Above 1 (dashed) gradient "
        "descent, without momentum and not Adam, diverges on a quadratic of this curvature; "
        "full-batch training rises to 1 and stays there, small batches keep it below.",
        "Not shown in the paper. Cohen et al. 2021 (2103.00065).",
        applies=_measures("curvature"),
    ),
    Entry(
        "gradient_noise",
        "Gradient noise",
        noise.gradient_noise,
        noise.gradient_noise_data,
        ("gradient_noise",),
        {"gradient_noise": "trace"},
        "Covariance C of the gradients of some mini-batches at the same weights: its trace (all "
        "the noise of a step), the share of its largest eigenvalue (1: all noise in one "
        "direction), and ‖mean gradient‖₂² / trace. Full batches have no noise: trace 0, no share, "
        "infinite signal to noise.",
        "Not shown in the paper. Jastrzebski et al. 2020 (2002.09572).",
        applies=_measures("gradient_noise"),
    ),
    Entry(
        "weights",
        "Effective learning rate and angular update",
        weights.effective_lr,
        weights.effective_lr_data,
        ("weights",),
        {"weights": "effective_lr"},
        "Where a normalisation takes the scale out of a layer's weights W, only their direction "
        "matters. Left lr / ‖W‖₂², the learning rate that would turn weights of length 1 as far; "
        "right how far the update of the step turned W.",
        "Not shown in the paper. Hoffer et al. 2018 (1803.01814), Kohler et al. 2019 (1805.10694).",
        applies=_measures("weights"),
    ),
    Entry(
        "radial_share",
        "Radial share of the gradient",
        weights.radial_share,
        weights.radial_share_data,
        ("weights",),
        {"weights": "radial_share"},
        "⟨g, W⟩² / (‖g‖₂² ‖W‖₂²): the share of a layer's squared gradient g that points along its "
        "weights W, and so only changes their length. It is 0, up to rounding and the ε of the "
        "normalisation, for weights that one takes the scale out of.",
        "Not shown in the paper; scale invariance as in its Lemma 4.5.",
        applies=_measures("weights"),
    ),
    Entry(
        "gradient_norm_over_depth",
        "Gradient norm over the depth",
        weights.gradient_norm_over_depth,
        weights.gradient_norm_over_depth_data,
        ("weights",),
        {"weights": "gradient_norm"},
        "Norm of the gradient of every layer's weights at the first and at the last capture. A "
        "line that falls steadily from the first layer to the last is a gradient that explodes on "
        "its way back through the layers, as in networks with BN at initialisation.",
        "Not shown in the paper. Yang et al. 2019 (1902.08129).",
        applies=_measures("weights"),
    ),
    Entry(
        "theorem",
        "Theorem 4.1",
        theory.theorem,
        theory.theorem_data,
        ("batch_norm_identity",),
        {"batch_norm_identity": "relative_difference"},
        "Both sides of Theorem 4.1 in every BN layer, from its input y and output z, on a training "
        "batch. They are equal but for rounding and the ε of the layer: above, their relative "
        "difference. Below, ‖∂L̂/∂y‖₂ / ‖∂L/∂z‖₂: under 1 (dashed) the loss is flatter with BN than "
        "as a function of z without it.",
        "Theorem 4.1 of the paper (with 1/m in the last term); not shown there.",
        applies=_has_batch_norm,
    ),
    Entry(
        "population_gap",
        "Batch statistics against population statistics",
        population.population_gap,
        population.population_gap_data,
        ("eval",),
        {"eval": "loss_batch_statistics"},
        "Loss on the test split with the statistics of each of its batches, less that with "
        "population statistics, measured anew on training batches at the weights of the step. "
        "Above 0 (dashed) the population statistics are the better ones. Only normalisations with "
        "moving statistics have both.",
        "Not shown in the paper. Wu and Johnson 2021 (2105.07576).",
        applies=_has_population_gap,
    ),
    Entry(
        "largest_learning_rate",
        "Largest learning rate that trains",
        largest_rate.largest_learning_rate,
        largest_rate.largest_learning_rate_data,
        ("train",),
        {"train": "loss"},
        f"Mean training accuracy over the last {training.LAST} steps of every run that has ended "
        "(of a regression its loss), against the learning rate: a dot is a run, the line the mean "
        "over seeds (of losses the geometric one). Normalisations stand a little beside each "
        "other. Dashed is guessing. A run that diverged counts as guessing, or with an infinite "
        "loss.",
        "Not shown in the paper, but for lr 0.1 and 0.5 in Fig 1. Bjorck et al. 2018 (1806.02375).",
        applies=learning_rates.compare(**largest_rate.NEEDED),
    ),
    Entry(
        "learning_rate_envelope",
        "Learning-rate envelope",
        envelope.learning_rate_envelope,
        envelope.learning_rate_envelope_data,
        ("train",),
        {"train": "loss"},
        "Spread, from min to max, of the training loss (running mean over "
        f"{lines.WINDOW} steps; geometric mean over seeds) of separately trained runs that differ "
        "in nothing but the learning rate. It is often drawn as the loss landscape, and is not the "
        "landscape along the gradient: that one is at one set of weights (“Loss along the "
        "gradient”), and this is over the weights of several runs. A triangle is where a run has "
        "diverged: from there on the area is unbounded.",
        "Not shown in the paper: no figure of it is this one.",
        applies=learning_rates.compare(**envelope.NEEDED),
    ),
    Entry(
        "smoothness_map",
        "Effective β-smoothness over normalisation and learning rate",
        rate_map.smoothness_map,
        rate_map.smoothness_map_data,
        ("landscape", "train"),
        {"landscape": "smoothness", "train": "loss"},
        f"Largest effective β-smoothness after the first {training.EARLY} steps, as β lr / 2, so "
        "that 1 is the plateau 2/lr at every learning rate; geometric mean over those seeds that "
        "trained. Hatched: no run trained, and a flat landscape says nothing then. Smoothing may "
        "need a high learning rate: verdicts hold for the one that they were measured at. A white "
        "cell has not been measured.",
        "Not shown in the paper. Jastrzebski et al. 2020 (2002.09572).",
        applies=_all(_measures("landscape"), learning_rates.compare(**rate_map.NEEDED)),
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
