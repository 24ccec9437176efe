"""Where the time of every run went."""

import matplotlib
import matplotlib.figure
import seaborn

from bnkit.report.drawing import canvas, style

BAR = 0.27
# Narrower segments than this part of the axis cannot hold their number.
NARROWEST = 0.055


def time_spent(seconds):
    """Seconds of every run by part, as stacked bars with the total at the end.

    Args:
      seconds: as from `frames.seconds_frame`.
    """
    title = "Time spent, by part of the run"
    with matplotlib.rc_context(style.RC):
        if not len(seconds):
            return canvas.message(title, "No run has recorded its times.")
        parts = list(dict.fromkeys(seconds["part"]))
        # "other" is what no part accounts for, so it comes last and is grey.
        parts = [part for part in parts if part != "other"] + ["other"] * ("other" in parts)
        palette = dict(zip(parts, seaborn.color_palette("crest", len(parts)), strict=True))
        palette["other"] = "#D5D5D5"
        seconds = seconds.sort_values(["lr", "seed"], kind="stable")
        seconds = seconds.sort_values("norm", key=lambda one: one.map(style.rank), kind="stable")
        labels = _labels(seconds)
        handles = [canvas.patch_handle(style.literal(part), palette[part]) for part in parts]
        height = BAR * len(labels) + 0.1
        page = canvas.Canvas(
            title, 1, 1, ["At the end of a bar: the sum."], handles, height, wide=True
        )
        axes = page.axes[0, 0]
        seconds = seconds.assign(label=seconds[["study", "run"]].apply(tuple, axis=1).map(labels))
        table = seconds.pivot_table("seconds", "label", "part", aggfunc="sum", observed=True)
        table = table.reindex(index=list(labels.values()), columns=parts).fillna(0.0)
        longest = table.sum(axis=1).max() or 1.0
        start = table[parts[0]] * 0
        for part in parts:
            bars = axes.barh(
                range(len(table)), table[part], left=start, color=palette[part], height=0.72
            )
            for bar, value in zip(bars, table[part], strict=True):
                if value > NARROWEST * longest:
                    axes.annotate(
                        f"{value:.0f}" if value >= 10 else f"{value:.1f}",
                        (bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height() / 2),
                        ha="center",
                        va="center",
                        color=_readable_on(bar.get_facecolor()),
                    )
            start = start + table[part]
        for row, total in enumerate(table.sum(axis=1)):
            axes.annotate(
                f"{total:.0f} s", (total, row), (4, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(range(len(table)), [style.literal(label) for label in table.index])
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xlim(0, longest * 1.14)
        axes.set_xlabel("wall-clock time (s)")
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        return page.figure


def _labels(seconds):
    """(study, run) -> a short label: norm, lr and seed where these tell the runs apart."""
    runs = seconds.drop_duplicates(["study", "run"])
    short = [
        f"{style.shorten(str(run.norm), 20)}, lr {run.lr:g}, seed {run.seed}"
        for run in runs.itertuples()
    ]
    names = (
        short
        if len(set(short)) == len(short)
        else [f"{r.study}/{r.run}" for r in runs.itertuples()]
    )
    return dict(zip(zip(runs["study"], runs["run"], strict=True), names, strict=True))


def _readable_on(colour):
    red, green, blue, _ = colour
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else style.INK
