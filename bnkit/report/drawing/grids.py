"""Figures of quantities just as the records have them: over steps, for some layers, over depth."""

from bnkit.report.drawing import numbering, panels, tables
from bnkit.report.statistics import arms


class OverSteps:
    """A row for every condition, and a column for every quantity; one quantity fills the rows.

    Args:
        title: Of the figure.
        quantities: The `Quantity`s to draw.
        footer: `footer(records)` gives the phrases for below the figure.
    """

    keys = ()
    x = "step"

    def __init__(self, title, quantities, footer):
        self.title = title
        self.quantities = quantities
        self.footer = footer

    def shown(self, records):
        """The rows of `records` that are drawn, with `condition`."""
        return arms.with_condition(records)

    def rows(self, shown):
        """Where the panels stand."""
        return panels.by_row(self.quantities, panels.of_conditions(shown))

    def data(self, records):
        """What `draw` draws: the columns of `arms.curves`, and `quantity`."""
        return tables.curves(self.shown(records), self.quantities, self.keys, self.x)

    def draw(self, records):
        """The figure; a run that diverged ends with a cross."""
        shown = self.shown(records)
        table, rows = self.data(records), self.rows(shown)
        return panels.draw(self.title, table, rows, self.footer(records), x=self.x, records=shown)


class OverStepsOfLayers(OverSteps):
    """As `OverSteps` for some layers: a row for every condition and layer.

    Of one quantity the layers stand side by side.
    """

    keys = ("layer",)
    rule = staticmethod(numbering.of_weights)

    def shown(self, records):
        return numbering.chosen(super().shown(records), self.rule)

    def rows(self, shown):
        arranged = panels.by_row if len(self.quantities) > 1 else panels.by_column
        return arranged(self.quantities, panels.of_layers(shown))


class OverDepth(OverSteps):
    """Against the layer's number, in columns for the first and the last step of every condition.

    A row for every condition and quantity.
    """

    keys = ("step",)
    x = "number"

    def shown(self, records):
        return tables.at_ends(numbering.with_numbers(super().shown(records)))

    def rows(self, shown):
        return panels.by_column(self.quantities, panels.of_steps(shown))
