"""What every figure shares: one colour and one label per normalisation, and fonts."""

import colorsys
import logging
import zlib

import matplotlib
import matplotlib.colors
import seaborn

# Okabe and Ito's colours for the study's own arms and Tol's muted ones for the comparators: both
# sets stay apart for colour-blind readers. A normalisation has the same colour in every figure.
NORMS = {
    "none": ("#D55E00", "none"),
    "bn": ("#0072B2", "BN"),
    "noisy_bn": ("#009E73", "noisy BN"),
    "noisy_none": ("#E69F00", "noise, no BN"),
    "l1": ("#CC79A7", "$L_1$"),
    "l2": ("#5B2C83", "$L_2$"),
    "linf": ("#56B4E9", r"$L_\infty$"),
    "layer": ("#882255", "layer norm"),
    "group": ("#117733", "group norm"),
    "instance": ("#999933", "instance norm"),
    "rms": ("#44AA99", "RMS norm"),
    "weight": ("#4D4D4D", "weight norm"),
}
LONGEST_LABEL = 34
# What a narrow panel has room for.
NARROW_LABEL = 20
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


def colour(norm):
    """Hex colour of a normalisation; for a user's own one a function of its name alone."""
    if norm in NORMS:
        return NORMS[norm][0]
    digest = zlib.crc32(str(norm).encode())
    lightness = (0.34, 0.46, 0.58)[digest // 360 % 3]
    rgb = colorsys.hls_to_rgb(digest % 360 / 360, lightness, 0.6)
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in rgb)


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


def label(norm, longest=LONGEST_LABEL):
    """Label of a normalisation for a figure (mathtext); a long name loses its middle."""
    if norm in NORMS:
        return NORMS[norm][1]
    return literal(shorten(str(norm), longest))


def plain(norm):
    """Label of a normalisation for text: no mathtext, nothing left out."""
    if norm not in NORMS:
        return str(norm)
    return NORMS[norm][1].replace(r"\infty", "∞").replace("$", "").replace("_", "")


def shorten(text, length):
    """`text` with an ellipsis for its middle where it is longer than `length`."""
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"


def literal(text):
    """`text` such that matplotlib shows it as it is: no mathtext, no hidden legend entry."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def rank(norm):
    """Sorting key of a normalisation: the known ones in the study's order, then by name."""
    known = list(NORMS)
    return (known.index(norm), "") if norm in known else (len(known), str(norm))
