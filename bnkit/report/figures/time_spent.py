"""Where the time of every run went."""

import itertools

from bnkit.report import naming
from bnkit.report.drawing import canvas, style
from bnkit.report.figures.entry import Entry

BAR = 0.27
# Tol's muted colours, which stay apart for colour-blind readers; beyond them they begin again.
COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933",
    "#DDCC77", "#CC6677", "#882255", "#AA4499",
)  # fmt: skip
# A part that takes less than this of every run is counted as "other".
THIN = 0.01
# Narrower segments than this part of the axis cannot hold their number.
NARROWEST = 0.055


def data(seconds):
    """What `draw` draws: the frame itself, with parts that are thin everywhere as "other"."""
    runs = ["study", "run"]
    share = seconds["seconds"] / seconds.groupby(runs)["seconds"].transform("sum")
    is_thin = share.groupby(seconds["part"]).transform("max") < THIN
    merged = seconds.assign(part=seconds["part"].mask(is_thin, "other"))
    keys = merged.columns.drop("seconds").tolist()
    return merged.groupby(keys, sort=False, as_index=False, dropna=False)["seconds"].sum()


@style.context()
def draw(seconds):
    """Seconds of every run by part, as stacked bars with the total at the end."""
    seconds = data(seconds)
    title = "Time spent, by part of the run"
    if not len(seconds):
        return canvas.message(title, "No run has recorded its times.")
    # "other" is what no part accounts for, so it comes last and is grey.
    parts = sorted(dict.fromkeys(seconds["part"]), key=lambda part: part == "other")
    palette = dict(zip(parts, itertools.cycle(COLOURS), strict=False)) | {"other": "#D5D5D5"}
    seconds = seconds.sort_values(["lr", "seed"], kind="stable")
    seconds = seconds.sort_values("norm", key=lambda one: one.map(naming.rank), kind="stable")
    labels = _labels(seconds)
    seconds = seconds.assign(label=seconds[["study", "run"]].apply(tuple, axis=1).map(labels))
    table = seconds.pivot_table("seconds", "label", "part", aggfunc="sum", observed=True)
    table = table.reindex(index=list(labels.values()), columns=parts).fillna(0.0)
    handles = [canvas.patch_handle(naming.literal(part), palette[part]) for part in parts]
    footer = [f"At the end of a bar: the sum. Other: with parts below {THIN:.0%} of every run."]
    page = canvas.Canvas(title, 1, 1, footer, handles, BAR * len(table) + 0.1, wide=True)
    _bars(page.axes[0, 0], table, palette)
    return page.figure


def _bars(axes, table, palette):
    totals = table.sum(axis=1)
    longest = totals.max() or 1.0
    start = totals * 0
    for part in table:
        bars = axes.barh(
            range(len(table)), table[part], left=start, color=palette[part], height=0.72
        )
        colour = _readable_on(bars[0].get_facecolor())
        labels = [
            ""
            if value <= NARROWEST * longest
            else f"{value:.0f}"
            if value >= 10
            else f"{value:.1f}"
            for value in table[part]
        ]
        axes.bar_label(bars, labels, label_type="center", color=colour)
        start = start + table[part]
    axes.bar_label(bars, [f"{total:.0f} s" for total in totals], padding=4)
    axes.set_yticks(range(len(table)), [naming.literal(label) for label in table.index])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(0, longest * 1.14)
    axes.set_xlabel("wall-clock time (s)")
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)


def _labels(seconds):
    """(study, run) -> a short label: norm, lr and seed where these tell the runs apart."""
    runs = seconds.drop_duplicates(["study", "run"])
    keys = list(runs[["study", "run"]].itertuples(index=False, name=None))
    names = [
        f"{naming.shorten(str(run.norm), naming.NARROW_LABEL)}, lr {run.lr:g}, seed {run.seed}"
        for run in runs.itertuples()
    ]
    if len(set(names)) < len(names):
        names = ["/".join(key) for key in keys]
    return dict(zip(keys, names, strict=True))


def _readable_on(colour):
    red, green, blue, _ = colour
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else style.INK


ENTRY = Entry(
    "time_spent",
    "Time spent",
    draw,
    data,
    {"seconds": "seconds"},
    "Wall-clock seconds of each run by part.",
    "Not shown in the paper.",
)
