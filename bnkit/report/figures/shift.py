"""Internal covariate shift, measured on gradients (Santurkar et al. 2018, Def. 2.1, Fig 3)."""

import matplotlib
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, numbering, style
from bnkit.report.statistics import arms

QUANTITIES = {"l2": r"$\|G_i - G'_i\|_2$", "cosine": "cosine"}


def covariate_shift_data(ics, layers=None):
    """What `covariate_shift` draws: `layer, quantity`, and the columns of `arms.curves`."""
    numbers = numbering.layer_numbers(ics)
    layers = numbering.chosen_layers(numbers, layers)
    chosen = arms.with_condition(ics[ics["layer"].isin(layers)])
    tables = []
    for quantity in QUANTITIES:
        # The first layer's difference is exactly 0: there is nothing for a logarithmic axis.
        shown = chosen if quantity == "cosine" else chosen[chosen["layer"].map(numbers) > 1]
        curve = arms.curves(shown, quantity, ["layer"], log=quantity == "l2")
        tables.append(curve.assign(quantity=quantity))
    return pandas.concat([one for one in tables if len(one)] or tables[:1], ignore_index=True)


def covariate_shift(ics, layers=None):
    r"""Internal covariate shift of some layers: `||G - G'||` (logarithmic) and cosine.

    Args:
      ics: records of kind "ics", as from `load_runs`.
      layers: names of the layers to show; by default the second (the first that can shift at all)
        and those of Fig 3, 5 and 10; of a network with 17 or more, 9 and 17.

    Returns:
      A matplotlib Figure: a row per condition and layer, with a panel for each quantity.

    Raises:
      ReportError: a layer that has not been measured.
    """
    title = "Internal covariate shift, measured on gradients"
    with matplotlib.rc_context(style.RC):
        if not numpy.isfinite(ics[list(QUANTITIES)]).any(axis=None):
            return canvas.message(title, "No finite covariate shift has been recorded.")
        numbers = numbering.layer_numbers(ics)
        layers = numbering.chosen_layers(numbers, layers)
        table = covariate_shift_data(ics, layers)
        rows = [(one, layer) for one in table["condition"].cat.categories for layer in layers]
        handles = canvas.norm_handles(arms.norms(table)) + lines.run_handles(table)
        footer = [
            "$G_i$: gradient of layer $i$'s weights at step $t$;",
            "$G'_i$: the same with layers $1 .. i-1$ as they are after the update;",
            "same batch.",
        ]
        page = canvas.Canvas(title, len(rows), 2, footer, handles, height=1.2, share_y=False)
        for panels, (condition, layer) in zip(page.axes, rows, strict=True):
            for axes, (quantity, label) in zip(panels, QUANTITIES.items(), strict=True):
                alike = table[(table["quantity"] == quantity) & (table["layer"] == layer)]
                lines.draw(axes, alike[alike["condition"] == condition])
                name = style.literal(style.shorten(str(layer), style.LONGEST_LABEL))
                if quantity == "l2":
                    page.name(axes, f"{name} (layer {numbers[layer]}), {condition}")
                axes.set_ylabel(label)
                canvas.step_axis(axes, table["step"].max())
                if quantity == "cosine":
                    lowest = table.loc[table["quantity"] == "cosine", "value"].min()
                    axes.set_ylim(-1.05 if lowest < 0 else -0.03, 1.05)
                elif len(alike):
                    canvas.value_axis(axes, [alike["value"]], log=True)
                else:
                    axes.set_yticks([])
                    text = "0 by definition:\nno layer before it moves"
                    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
        page.label_x("step")
        return page.figure
