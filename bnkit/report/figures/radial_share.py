"""The share of the gradient along the weights: 0 for weights whose scale does not matter."""

import numpy as np

from bnkit.report.drawing import numbering, panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

# The square of what single precision resolves: a smaller share is 0 up to rounding.
SMALLEST_SHARE = 1e-14
SHARE = tables.Quantity("radial_share", "radial share", includes=(SMALLEST_SHARE, 1.0))


def data(weights):
    """What `draw` draws: `layer, quantity`, and the columns of `arms.curves`."""
    return tables.curves(_shown(weights), [SHARE], ["layer"])


def draw(weights):
    """Share of the gradient along the weights, `<g, W>^2 / (||g||^2 ||W||^2)`, against the step.

    Args:
        weights: Records of kind "weights", as from `load_runs`.

    Returns:
        A matplotlib Figure: a row per condition, with a panel for each of the layers of
        `weights.draw`, logarithmic. A share below `SMALLEST_SHARE` is drawn there.
    """
    shown = _shown(weights)
    footer = [
        r"$\langle g, W \rangle^2 \,/\, (\|g\|_2^2 \, \|W\|_2^2)$;",
        r"less than $10^{-14}$, which is rounding, is drawn there.",
    ]
    rows = panels.by_column([SHARE], panels.of_layers(shown))
    return panels.draw("Radial share of the gradient", data(weights), rows, footer, frame=shown)


def _shown(weights):
    resolved = weights.assign(radial_share=np.maximum(weights["radial_share"], SMALLEST_SHARE))
    return numbering.chosen(arms.with_condition(resolved), numbering.of_weights)


ENTRY = Entry(
    "radial_share",
    "Radial share of the gradient",
    draw,
    data,
    {"weights": "radial_share"},
    "⟨g, W⟩² / (‖g‖₂² ‖W‖₂²): the share of a layer's squared gradient g that points along its "
    "weights W, and so only changes their length. It is 0, up to rounding and the ε of the "
    "normalisation, for weights that one takes the scale out of.",
    "Not shown in the paper; scale invariance as in its Lemma 4.5.",
)
