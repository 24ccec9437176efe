"""What figures show, read back from their artists."""

from bnkit.report import naming


def lines(axes, norm):
    """Lines in the colour of a normalisation that have a point, arrows included."""
    colour = naming.colour(norm)
    return [one for one in axes.get_lines() if one.get_color() == colour and len(one.get_xdata())]


def curve(axes, norm):
    """The strong line of an arm, which is in one piece: its points' x and y."""
    (line,) = [one for one in lines(axes, norm) if one.get_alpha() is None]
    return list(line.get_xdata()), list(line.get_ydata())


def arrows(axes):
    """Where a triangle at the top says that a value is infinite."""
    found = [line.get_xdata() for line in axes.get_lines() if line.get_marker() == "^"]
    return sorted({float(x) for one in found for x in one})


def dashed(axes):
    """Heights of the dashed horizontal lines."""
    found = [one for one in axes.get_lines() if one.get_linestyle() == "--"]
    levels = [set(one.get_ydata()) for one in found]
    assert all(len(one) == 1 for one in levels)
    return [level for one in levels for level in one]


def extremes(axes, x):
    """Lower and upper end at `x` of the first area in a panel."""
    vertices = axes.collections[0].get_paths()[0].vertices
    there = vertices[vertices[:, 0] == x][:, 1]
    return there.min(), there.max()


def titles(axes):
    """The titles of panels that have one."""
    return [one.get_title(loc="left") for one in axes if one.get_title(loc="left")]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def message(figure):
    """What the figure says in its first panel."""
    return figure.axes[0].texts[0].get_text()


def words(figure):
    """Title and footer of a figure as one line."""
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())
