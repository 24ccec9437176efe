"""Weight layers: effective learning rate, angular update, radial gradient, gradient over depth."""

import numpy

from bnkit.report.drawing import grid
from bnkit.report.statistics import arms

# The square of what single precision resolves: a smaller share is 0 up to rounding.
SMALLEST_SHARE = 1e-14
UPDATES = (
    grid.Quantity("effective_lr", r"lr / $\|W\|_2^2$"),
    grid.Quantity("angular_update", "angle (rad)"),
)
RADIAL = (grid.Quantity("radial_share", "radial share", limits=(SMALLEST_SHARE, 1.0)),)
GRADIENT = (grid.Quantity("gradient_norm", r"$\|\partial L / \partial W\|_2$"),)


def effective_lr_data(weights):
    """What `effective_lr` draws: `layer, quantity`, and the columns of `arms.curves`."""
    return grid.data(grid.of_layers(arms.with_condition(weights)), UPDATES, ["layer"])


def effective_lr(weights):
    """Effective learning rate and angular update of some layers against the step.

    Args:
      weights: records of kind "weights", as from `load_runs`.

    Returns:
      A matplotlib Figure: a row per condition and layer (those of `covariate_shift`), with a panel
      for each quantity, logarithmic.
    """
    footer = [r"Right: angle between $W$ before and after the update of the step."]
    title = "Effective learning rate and angular update"
    return grid.over_steps_of_layers(title, arms.with_condition(weights), UPDATES, footer)


def radial_share_data(weights):
    """What `radial_share` draws: `layer, quantity`, and the columns of `arms.curves`."""
    return grid.data(grid.of_layers(arms.with_condition(_resolved(weights))), RADIAL, ["layer"])


def radial_share(weights):
    """Share of the gradient along the weights, `<g, W>^2 / (||g||^2 ||W||^2)`, against the step.

    Args:
      weights: records of kind "weights", as from `load_runs`.

    Returns:
      A matplotlib Figure: a row per condition, with a panel for each of the layers of
      `effective_lr`, logarithmic. A share below `SMALLEST_SHARE` is drawn there.
    """
    footer = [
        r"$\langle g, W \rangle^2 \,/\, (\|g\|_2^2 \, \|W\|_2^2)$;",
        r"less than $10^{-14}$, which is rounding, is drawn there.",
    ]
    title = "Radial share of the gradient"
    frame = arms.with_condition(_resolved(weights))
    return grid.over_steps_of_layers(title, frame, RADIAL, footer)


def gradient_norm_over_depth_data(weights):
    """What `gradient_norm_over_depth` draws: `quantity, number` (of the layer), `arms.curves`'s."""
    return grid.data(grid.at_ends(arms.with_condition(weights)), GRADIENT, ["step"], "number")


def gradient_norm_over_depth(weights):
    """Gradient norm of every weight layer at the first and the last capture (Yang et al. 2019).

    Args:
      weights: records of kind "weights", as from `load_runs`.

    Returns:
      A matplotlib Figure: a row per condition, a column for each of the two steps, logarithmic.
    """
    footer = ["Layers are counted from the input."]
    title = "Gradient norm over the depth"
    return grid.over_depth(title, arms.with_condition(weights), GRADIENT, footer)


def _resolved(weights):
    share = weights["radial_share"]
    return weights.assign(radial_share=numpy.maximum(share, SMALLEST_SHARE))
