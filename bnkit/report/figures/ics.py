"""Internal covariate shift, measured on gradients (Santurkar et al. 2018, Def. 2.1, Fig 3)."""

from bnkit.report.drawing import numbering, panels, tables
from bnkit.report.figures.entry import Entry
from bnkit.report.statistics import arms

L2 = tables.Quantity(
    "l2", r"$\|G_i - G'_i\|_2$", "log", absent="0 by definition:\nno layer before it moves"
)
COSINE = tables.Quantity("cosine", "cosine", "linear", includes=(0.0, 1.0))


def data(ics):
    """What `draw` draws: `layer, quantity`, and the columns of `arms.curves`."""
    shown = _shown(ics)
    # The first layer's difference is exactly 0: there is nothing for a logarithmic axis.
    moved = shown[shown["number"] > 1]
    return tables.join(
        [tables.curves(moved, [L2], ["layer"]), tables.curves(shown, [COSINE], ["layer"])]
    )


def draw(ics):
    r"""Internal covariate shift of some layers: `||G - G'||` (logarithmic) and cosine.

    Args:
        ics: Records of kind "ics", as from `load_runs`.

    Returns:
        A matplotlib Figure: a row per condition and layer (`numbering.of_weights`), with a panel
        for each quantity.
    """
    shown = _shown(ics)
    footer = [
        "$G_i$: gradient of layer $i$'s weights at step $t$;",
        "$G'_i$: the same with layers $1 .. i-1$ as they are after the update;",
        "same batch.",
    ]
    return panels.draw(
        "Internal covariate shift, measured on gradients",
        data(ics),
        panels.by_row([L2, COSINE], panels.of_layers(shown)),
        footer,
        frame=shown,
    )


def _shown(ics):
    return numbering.chosen(arms.with_condition(ics), numbering.of_weights)


ENTRY = Entry(
    "ics",
    "Internal covariate shift",
    draw,
    data,
    {"ics": "l2"},
    "G is the gradient of the layer's weights at step t, G' the same on the same batch once "
    "all layers before it (and only these) have made their update: left ‖G - G'‖₂, right "
    "their cosine. The first layer cannot shift. It depends on the learning rate and on how "
    "far training is: compare arms at the same training loss.",
    "Definition 2.1 and Fig 3 of the paper.",
)
