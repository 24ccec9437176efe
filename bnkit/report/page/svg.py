"""A figure as SVG inside the page, in the page's own inks, with its arms and axes marked.

The page's style sheet and script find: `data-arm` on what is drawn of an arm and, with the class
`key`, on its entry in the legend; `data-run` on the line of a run; `data-axes` on a panel: left,
top, width and height of its area in the SVG's units, then for x and for y the scale, the
transformed limits, and the width of a linear part (`symlog`); then the label of x.
"""

import html
import io
import json
import re

import matplotlib
import matplotlib.colors
from matplotlib.backends.backend_svg import FigureCanvasSVG

from bnkit.report import naming
from bnkit.report.drawing import canvas, style

# SVG units of an inch.
POINTS = 72
_INKS = {
    style.INK: "var(--ink)",
    style.QUIET: "var(--quiet)",
    style.RC["grid.color"]: "var(--grid)",
    "#FFFFFF": "var(--page)",
}
_SCALES = ("linear", "log", "symlog")


def text(figure, name, title, norms):
    """The `<svg>` element of a figure that has its layout; its title, which the page gives, is cut.

    Args:
        figure: A matplotlib Figure. It is marked, and its title and backgrounds go.
        name: Of the figure: no other figure of the page has the same.
        title: What a screen reader says.
        norms: The normalisations that have colours in the figure.
    """
    _mark(figure)
    content = io.StringIO()
    # Real text: it can be selected and searched, and is a tenth of the bytes. The salt makes ids
    # that are the same at every time and differ from those of the other figures.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})
    width, height = (POINTS * size for size in figure.get_size_inches())
    top = _cut_title(figure) * height
    found = content.getvalue()
    body = found[found.index("</defs>") + len("</defs>") : found.rindex("</svg>")]
    body = _coloured(_short(_attributes(body)), norms)
    return (
        f'<svg class="plot" viewBox="0 {top:.2f} {width:.2f} {height - top:.2f}" role="img" '
        f'aria-label="{html.escape(title)}">{body}</svg>'
    )


def _mark(figure):
    """Gives what the page looks for an id, which `_attributes` turns into attributes."""
    figure.patch.set_visible(False)
    arms = set()
    for legend in figure.legends:
        for handle, label in zip(legend.legend_handles, legend.get_texts(), strict=True):
            if isinstance(handle, matplotlib.lines.Line2D) and _colour(handle) not in _INKS:
                arms.add(_colour(handle))
                for part in (handle, label):
                    part.set_gid(f"key {_colour(handle)}")
    label = next((axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()), "")
    for axes in figure.axes:
        axes.patch.set_visible(False)
        axes.set_gid(f"axes {json.dumps(_place(axes, label))}")
        for artist in (*axes.lines, *axes.collections, *axes.patches):
            if _colour(artist) in arms:
                run = artist.get_gid() or ""
                artist.set_gid(f"arm {_colour(artist)} {run}")


def _colour(artist):
    """Hex colour of a line or an area, or None where it has several or none."""
    if isinstance(artist, matplotlib.lines.Line2D):
        return matplotlib.colors.to_hex(artist.get_color()).upper()
    colours = matplotlib.colors.to_rgba_array(artist.get_facecolor())
    if not len(colours):
        colours = matplotlib.colors.to_rgba_array(artist.get_edgecolor())
    if len(colours) == 0 or (colours != colours[0]).any():
        return None
    return matplotlib.colors.to_hex(colours[0]).upper()


def _place(axes, label):
    width, height = (POINTS * size for size in axes.figure.get_size_inches())
    box = axes.get_position()
    area = (box.x0 * width, (1 - box.y1) * height, box.width * width, box.height * height)
    scales = [_scale(axis) for axis in (axes.xaxis, axes.yaxis)]
    return [*(round(one, 2) for one in area), *scales, label.replace("$", "")]


def _scale(axis):
    name = axis.get_scale()
    if name not in _SCALES:
        return None
    transform = axis.get_transform()
    limits = transform.transform(axis.get_view_interval())
    linear = [transform.linthresh, transform.linscale] if name == "symlog" else []
    return [name, *(float(one) for one in (*limits, *linear))]


def _cut_title(figure):
    """The share of the height that the title takes."""
    titles = [one for one in figure.texts if one.get_gid() == canvas.TITLE]
    if not titles:
        return 0
    return 1 - titles[0].get_window_extent().y0 / figure.bbox.height


def _attributes(body):
    """Ids of artists as attributes; only those of paths that are used elsewhere stay."""

    def attribute(found):
        kind, _, rest = html.unescape(found[1][1:-1]).partition(" ")
        if kind == "key":
            return f'<g class="key" data-arm="{rest}">'
        if kind == "arm":
            colour, _, run = rest.partition(" ")
            of_run = f' data-run="{html.escape(run)}"' if run else ""
            return f'<g data-arm="{colour}"{of_run}>'
        if kind == "axes":
            return f'<g data-axes="{html.escape(rest)}">'
        return "<g>"

    body = re.sub(rf'<g id="{canvas.TITLE}">.*?</g>', "", body, flags=re.DOTALL)
    # Matplotlib quotes an id that holds a quotation mark with the other one.
    return re.sub(r"""<g id=("[^"]*"|'[^']*')>""", attribute, body)


def _short(body):
    """Fewer bytes: hundredths of a point, no blanks between elements, no rotation by nothing."""
    body = re.sub(r' (d|x|y)="[^"]*"', lambda found: _rounded(found[0]), body)
    body = re.sub(r' transform="rotate\(-?0 [^"]*"', "", body)
    body = body.replace("font-family: 'DejaVu Sans', sans-serif; ", "")
    body = body.replace("'DejaVu Sans', sans-serif", "'DejaVu Sans',Verdana,sans-serif")
    body = re.sub(r">\s+<", "><", body)
    return re.sub(r"\s*<!--.*?-->\s*", "", body, flags=re.DOTALL)


def _rounded(text):
    text = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text)
    return re.sub(r" *\n *", "", re.sub(r"([MLQCz]) ", r"\1", text))


def _coloured(body, norms):
    """Inks that follow the page, and colours of arms that are too dark on a dark page."""
    inks = {ink.lower(): name for ink, name in _INKS.items()}
    for norm in norms:
        colour = naming.colour(norm).lower()
        if style.on_dark(colour) != colour:
            inks[colour] = f"var(--on-{colour[1:]},{colour})"
    return re.sub(
        r"(fill|stroke): (#[0-9a-f]{6})",
        lambda found: f"{found[1]}:{inks.get(found[2], found[2])}",
        body,
    )
