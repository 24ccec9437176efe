"""What every figure shares: fonts, lines and inks, and what is seen of a colour."""

import colorsys
import logging

import matplotlib
import matplotlib.colors
import seaborn

INK = "#222222"
QUIET = "#5F6368"
# The page in dark mode, and the least contrast of what is drawn with it (WCAG 2.2, 1.4.11).
DARK_PAGE = "#16181B"
LEAST_CONTRAST = 3

# Embedding a font subset, its library warns of the time stamps in matplotlib's own fonts.
logging.getLogger("fontTools").setLevel(logging.ERROR)

# Sizes hold at one-column width (3.5 inches): nothing is smaller than 8 points.
RC = {
    # TrueType: some venues refuse the Type 3 fonts that are the default.
    "pdf.fonttype": 42,
    **seaborn.axes_style("ticks"),
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "ytick.minor.size": 1.8,
    "ytick.minor.width": 0.5,
    "axes.formatter.useoffset": False,
}


def context():
    """The settings that figures are drawn with: for a `with` statement, or as a decorator."""
    return matplotlib.rc_context(RC)


def on_dark(colour):
    """A hex colour as it is seen on a dark page: lighter, if it is too dark there."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*matplotlib.colors.to_rgb(colour))
    steps = (lightness + 0.04 * number for number in range(16))
    for candidate in steps:
        rgb = colorsys.hls_to_rgb(hue, min(candidate, 1), saturation)
        if contrast(rgb, matplotlib.colors.to_rgb(DARK_PAGE)) >= LEAST_CONTRAST:
            break
    return matplotlib.colors.to_hex(rgb)


def contrast(one, other):
    """Contrast of two RGB colours, from 1 to 21 (WCAG 2.2)."""
    high, low = sorted(map(_luminance, (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb):
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
