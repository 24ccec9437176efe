"""The share of the gradient along the weights: 0 for weights whose scale does not matter."""

import numpy as np

from bnkit.report.drawing import grids, tables
from bnkit.report.figures.entry import Entry

# The square of what single precision resolves: a smaller share is 0 up to rounding.
SMALLEST_SHARE = 1e-14
SHARE = tables.Quantity(
    "radial_share", "radial share", includes=(SMALLEST_SHARE, 1.0), possible=(0, 1)
)


class RadialShare(grids.OverStepsOfLayers):
    """A share below `SMALLEST_SHARE` is drawn there."""

    def shown(self, records):
        share = np.maximum(records["radial_share"], SMALLEST_SHARE)
        return super().shown(records.assign(radial_share=share))


FIGURE = RadialShare(
    "Radial share of the gradient",
    [SHARE],
    lambda weights: [
        r"$\langle g, W \rangle^2 \,/\, (\|g\|_2^2 \, \|W\|_2^2)$;",
        r"less than $10^{-14}$, which is rounding, is drawn there.",
    ],
)
ENTRY = Entry(
    "radial_share",
    "Radial share of the gradient",
    FIGURE.draw,
    FIGURE.data,
    {"weights": "radial_share"},
    "⟨g, W⟩² / (‖g‖₂² ‖W‖₂²): the share of a layer's squared gradient g that points along its "
    "weights W, and so only changes their length. It is 0, up to rounding and the "
    "normalisation's ε, for weights whose scale a normalisation takes out.",
    "Not shown in the paper; scale invariance as in its Lemma 4.5.",
)
