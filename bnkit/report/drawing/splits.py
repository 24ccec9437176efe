"""Training curves: every training batch with its running mean, and the test split beside them."""

import pandas as pd

from bnkit.report.drawing import canvas, lines, panels, style, tables
from bnkit.report.statistics import arms

SPLITS = ("training", "test")


def data(train, evaluation, quantity):
    """What `draw` draws: `split`, and the columns of `arms.curves`."""
    splits = dict(zip(SPLITS, (train, evaluation), strict=True))
    filled = [one.assign(split=name) for name, one in splits.items() if len(one)]
    both = arms.with_condition(pd.concat(filled or [train.assign(split="")]))
    is_log = quantity.scale == "log"
    return tables.join(
        [
            arms.curves(
                both[both["split"] == name],
                quantity.column,
                ["split"],
                window,
                is_log,
                possible=quantity.possible,
            )
            for name, window in zip(SPLITS, (lines.WINDOW, 1), strict=True)
        ]
    )


def draw(title, train, evaluation, quantity, when, footer=()):
    """A row of panels per condition, one for each split that has values.

    Args:
        title: The name of the quantity.
        train: Records of kind "train", as from `load_runs`.
        evaluation: Records of kind "eval"; without any the test panels are left out.
        quantity: The `Quantity` to draw.
        when: At which weights training values are measured, in words.
        footer: Phrases for below the figure, before those about the splits.

    Returns:
        A matplotlib Figure.
    """
    table = data(train, evaluation, quantity)
    units = set(train.get("mean_over", ())) or {"step"}
    words = {
        "step": rf"on the batch of step $t$, {when}",
        "epoch": "of model.fit the mean over each epoch",
    }
    footer = [*footer, f"Training: {'; '.join(words[one] for one in words if one in units)}."]
    title = f"{title} on training batches"
    if "test" in set(table["split"]):
        title = f"{title} and on the test split"
        footer.append(tested(evaluation))
    ordered = table.assign(split=pd.Categorical(table["split"], SPLITS, ordered=True))
    places = panels.places(ordered, lambda condition, split: f"{split}, {condition}", ["split"])
    return panels.draw(
        title,
        table,
        panels.by_column([quantity], places),
        footer,
        lines.CURVES._replace(handles=lambda table: _handles(table, units)),
        records=arms.with_condition(train).assign(split="training"),
    )


def tested(evaluation):
    """On how many samples of the test split, as a sentence.

    Runs of `model.fit` do not say; they are tested on whatever they were given, all of it.
    """
    counts = sorted({int(count) for count in evaluation.get("test_samples", ()) if pd.notna(count)})
    if not counts:
        return "Test: whole test split."
    if len(counts) == 1:
        return f"Test: {counts[0]} samples of the test split."
    return f"Test: {counts[0]} samples drawn from the test split, in the end all of it."


def _handles(table, units):
    handles = [lines.thin_handle(f"every {unit}") for unit in sorted(units, reverse=True)]
    if "step" in units:
        mean = f"running mean, {lines.WINDOW} steps"
        handles.append(canvas.line_handle(mean, color=style.QUIET, linewidth=1.4))
    return handles + lines.interval_handles(table)
