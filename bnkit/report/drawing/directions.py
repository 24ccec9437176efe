"""What the landscape was measured along, in words and formulas (paper, Fig 4, 10 and 11)."""

import dataclasses

from bnkit.report.drawing import lines, panels, scales
from bnkit.report.statistics import arms

# Ends of the captions of figures along random directions.
OF_A_STEP = (
    "and over the directions d of a step. d is Gaussian, scaled to the norm of the gradient, so "
    "that s is the same distance as along the gradient."
)
NOT_SHOWN = "The paper says that random directions behave as the gradient does."


@dataclasses.dataclass(frozen=True)
class Direction:
    """What records of the landscape were measured along.

    Attributes:
        words: For titles.
        symbol: In formulas.
        definition: Of the symbol; the gradient has none.
    """

    words: str
    symbol: str
    definition: str = ""

    @property
    def change(self):
        """The change of the gradient, in mathtext without the dollar signs."""
        return rf"\|\nabla L(\theta - s\,{self.symbol}) - g\|_2"

    def footer(self, landscape):
        """What the symbol is, how many directions a step has, and which step sizes there are."""
        if not self.definition:
            return step_sizes(landscape)
        most = landscape.groupby(["run", "step"])["direction"].nunique().max()
        return [self.definition, f"{most:g} at each step;", *step_sizes(landscape)]


GRADIENT = Direction("the gradient", "g")
RANDOM = Direction("random directions", "d", r"$d$: Gaussian, with $\|d\|_2 = \|g\|_2$;")


def step_sizes(landscape):
    """The grid that was measured on, in words for below the figure (one phrase per grid)."""
    grids = landscape.groupby("run")["step_size"].unique().map(sorted).map(tuple).unique()
    phrases = []
    for grid in grids:
        shown = scales.number(grid[0])
        if len(grid) > 1:
            shown = rf"{shown}, \ldots, {scales.number(grid[-1])}"
        points = "1 point" if len(grid) == 1 else f"{len(grid)} points"
        phrases.append(rf"$s \in \{{{shown}\}}$, {points}.")
    if len(grids) > 1:
        return ["step sizes differ between runs:", *phrases]
    return phrases


def draw_bands(title, landscape, table, quantity, footer, direction, middle=None):
    """Areas from `low` to `high` (`arms.bands`), and a line at the column `middle`.

    Args:
        title: Of the figure.
        landscape: Records of kind "landscape" or "random_landscape", as from `load_runs`.
        table: What is drawn.
        quantity: The `Quantity` of the areas.
        footer: Phrases for below the figure, before those about the records.
        direction: What `landscape` was measured along.
        middle: Name of a column of `table`.
    """
    footer = [*footer, *direction.footer(landscape)]
    if table["runs"].max() > 1:
        footer.append(f"Areas of {table['runs'].max():.0f} runs, lines: their means.")
    return panels.draw(
        title,
        table,
        panels.of_arms(quantity, table),
        footer,
        lines.bands(middle),
        records=arms.with_condition(landscape),
    )
