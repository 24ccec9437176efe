"""Internal covariate shift, measured on gradients (Santurkar et al. 2018, Def. 2.1, Fig 3)."""

from bnkit.report.drawing import grids, tables
from bnkit.report.figures.entry import Entry

L2 = tables.Quantity(
    "l2", r"$\|G_i - G'_i\|_2$", "log", absent="0 by definition:\nno layer before it moves"
)
COSINE = tables.Quantity("cosine", "cosine", "linear", includes=(1.0,), possible=(-1, 1))


class CovariateShift(grids.OverStepsOfLayers):
    """The first layer's difference is exactly 0: it has no place on a logarithmic axis."""

    def data(self, records):
        shown = self.shown(records)
        moved = shown[shown["number"] > 1]
        return tables.join(
            [tables.curves(moved, [L2], self.keys), tables.curves(shown, [COSINE], self.keys)]
        )


FIGURE = CovariateShift(
    "Internal covariate shift, measured on gradients",
    (L2, COSINE),
    lambda ics: [
        "$G_i$: gradient of layer $i$'s weights at step $t$;",
        "$G'_i$: the same with the layers before $i$ as they are after the update;",
        "same batch.",
    ],
)
ENTRY = Entry(
    "ics",
    "Internal covariate shift",
    FIGURE.draw,
    FIGURE.data,
    {"ics": "l2"},
    "G is the gradient of the layer's weights at step t, G' the same on the same batch once "
    "all layers before it (and only these) have made their update: left ‖G - G'‖₂, right "
    "their cosine. The first layer cannot shift. It depends on the learning rate and on how "
    "far training is: compare arms at the same training loss.",
    "Definition 2.1 and Fig 3 of the paper.",
)
