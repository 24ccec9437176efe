"""Training and test curves (Santurkar et al. 2018, Fig 1a, 1b)."""

import matplotlib
import matplotlib.ticker
import numpy
import pandas

from bnkit.report.drawing import canvas, lines, style
from bnkit.report.statistics import arms

SPLITS = ("training", "test")


def accuracy_data(train, evaluation):
    """What `accuracy` draws: `split`, and the columns of `arms.curves`."""
    return _data(train, evaluation, "accuracy", log=False)


def loss_data(train, evaluation):
    """What `loss` draws: `split`, and the columns of `arms.curves`."""
    return _data(train, evaluation, "loss", log=True)


def accuracy(train, evaluation):
    """Accuracy against the step: training batches, with the running mean, and the test split.

    Args:
      train: records of kind "train", as from `load_runs`.
      evaluation: records of kind "eval"; without any, the test panels are left out.

    Returns:
      A matplotlib Figure: a row of panels per condition (`arms.with_condition`).
    """
    formula = _training(train, "before its update")
    return _figure("Accuracy", train, evaluation, "accuracy", formula)


def loss(train, evaluation):
    """Loss against the step on a logarithmic axis; arguments and result as for `accuracy`."""
    formula = [r"$L(\theta_t)$ without weight decay.", *_training(train, "before update $t+1$")]
    return _figure("Loss", train, evaluation, "loss", formula)


def _training(train, when):
    """What the training values are of, in words."""
    units = _units(train)
    words = {
        "step": rf"on the batch of step $t$, {when}",
        "epoch": "of model.fit the mean over each epoch",
    }
    return [f"Training: {'; '.join(words[unit] for unit in words if unit in units)}."]


def _units(train):
    """What training values are means over: "step", "epoch", or both."""
    return set(train.get("mean_over", ())) or {"step"}


def _data(train, evaluation, value, log):
    split = {"training": train, "test": evaluation}
    filled = [one.assign(split=name) for name, one in split.items() if len(one)]
    both = arms.with_condition(pandas.concat(filled or [train.assign(split="")]))
    tables = [
        arms.curves(both[both["split"] == name], value, ["split"], window, log)
        for name, window in zip(SPLITS, (lines.WINDOW, 1), strict=True)
    ]
    return pandas.concat([one for one in tables if len(one)] or tables[:1], ignore_index=True)


def _figure(title, train, evaluation, value, formula):
    log = value == "loss"
    with matplotlib.rc_context(style.RC):
        table = _data(train, evaluation, value, log)
        if not numpy.isfinite(table["value"]).any():
            return canvas.message(title, f"No finite {value} has been recorded.")
        splits = [name for name in SPLITS if name in set(table["split"])]
        conditions = list(table["condition"].cat.categories)
        diverged = arms.ends(arms.with_condition(train), value, log)
        title = f"{title} on training batches"
        if "test" in splits:
            title = f"{title} and on the test split"
            formula = [*formula, "Test: whole test split."]
        handles = _handles(table, diverged, _units(train))
        page = canvas.Canvas(title, len(conditions), len(splits), formula, handles)
        for row, condition in enumerate(conditions):
            for column, split in enumerate(splits):
                axes = page.axes[row, column]
                chosen = table[(table["condition"] == condition) & (table["split"] == split)]
                marked = split == "test" and chosen["step"].nunique() <= lines.MOST_DOTS
                lines.draw(axes, chosen, marker="o" if marked else None)
                page.name(axes, f"{split}, {condition}")
                axes.set_ylabel(value if column == 0 else "")
                if split == "training":
                    for end in diverged[diverged["condition"] == condition].itertuples():
                        height = getattr(end, value)
                        canvas.crosses(axes, [end.step], [height], style.colour(end.norm))
        for axes in page.axes.flat:
            canvas.step_axis(axes, table["step"].max())
            if log:
                canvas.value_axis(axes, [table["value"]], log=True)
            else:
                axes.set_ylim(0, 1.02)
                axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
        page.label_x("step")
        return page.figure


def _handles(table, diverged, units):
    mean = canvas.line_handle(
        f"running mean, {lines.WINDOW} steps", color=style.QUIET, linewidth=1.4
    )
    return [
        *canvas.norm_handles(arms.norms(table)),
        *[lines.thin_handle(f"every {unit}") for unit in sorted(units, reverse=True)],
        *[mean] * ("step" in units),
        *lines.interval_handles(table),
        *[lines.diverged_handle()] * bool(len(diverged)),
    ]
