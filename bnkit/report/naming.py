"""How normalisations are called, coloured and sorted, in every figure and every sentence."""

import colorsys
import zlib

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


def colour(norm):
    """Hex colour of a normalisation; for a user's own one a function of its name alone."""
    if norm in NORMS:
        return NORMS[norm][0]
    digest = zlib.crc32(str(norm).encode())
    lightness = (0.34, 0.46, 0.58)[digest // 360 % 3]
    rgb = colorsys.hls_to_rgb(digest % 360 / 360, lightness, 0.6)
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in rgb)


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
