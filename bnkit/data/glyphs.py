"""The embedded image set: bright digits on darker backgrounds, rendered on first use.

Ten classes at 32x32x3 that need no download. What matters for the study is that the digit is
always *brighter* than its background: the set then is easy enough to be learnt within a few
hundred steps, and hard enough that a network without normalisation needs a small learning rate.
"""

import functools
import math
from pathlib import Path

import matplotlib
import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFont

from bnkit import waiting
from bnkit.data.cache import cached, empty_split
from bnkit.data.dataset import DataError

IMAGE_SHAPE = (32, 32, 3)
CLASSES = 10
TRAIN_SIZE = 20_000
# The text fonts that matplotlib ships. Its other files lack digits or map them to symbols.
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold"),
    *("DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
)
# Part of the cache key: raise it whenever a change here changes a pixel.
_FORMAT = 2
# Every chunk of images has its own random generator, so pixels do not depend on who draws them.
_CHUNK = 500
# Room around a glyph, so that nothing is cut off before it is rotated and shifted.
_CANVAS = 64


def load_glyphs(*, train_size=TRAIN_SIZE, test_size=2_000, seed=0, progress=True):
    """Loads the glyphs, rendering them first if the cache does not hold them.

    Args:
        train_size, test_size: Number of images, at least one per class; classes are balanced.
        seed: Non-negative integer; it determines every pixel of both splits.
        progress: Whether rendering shows a progress bar on stderr.

    Raises:
        DataError: If a size or the seed is out of range.
    """
    if min(train_size, test_size) < CLASSES:
        raise DataError(
            f"train_size and test_size must be at least {CLASSES}, one image per class. "
            f"Received: train_size={train_size}, test_size={test_size}"
        )
    if seed < 0:
        raise DataError(f"seed must not be negative. Received: seed={seed}")

    def build(directory):
        total, rendered = train_size + test_size, 0
        with waiting.shown(total, "rendering glyphs", "image", is_shown=progress) as shown:
            for stream, (name, size) in enumerate((("train", train_size), ("test", test_size))):
                split = empty_split(directory, name, size, IMAGE_SHAPE)
                split.y[:] = np.arange(size) % CLASSES
                for chunk, start in enumerate(range(0, size, _CHUNK)):
                    labels = split.y[start : start + _CHUNK]
                    generator = np.random.default_rng([seed, stream, chunk])
                    split.x[start : start + _CHUNK], _ = render(labels, generator)
                    rendered += len(labels)
                    shown.at(rendered)
        return CLASSES

    key = {
        "name": "glyphs",
        "train_size": train_size,
        "test_size": test_size,
        "seed": seed,
        "format": _FORMAT,
        "matplotlib": matplotlib.__version__,
        "pillow": PIL.__version__,
    }
    return cached(key, build)


def render(labels, generator):
    """Draws one image per label, 0 to 9.

    Returns:
        Images, uint8, `[n, 32, 32, 3]`, and how much of each pixel the digit covers, float32
        from 0 to 1, `[n, 32, 32, 1]`.
    """
    count = len(labels)
    masks = _masks(labels, generator)
    contrast = generator.uniform(70, 135, [count, 1, 1, 3]).astype(np.float32)
    noise = generator.standard_normal([count, *IMAGE_SHAPE], np.float32)
    noise *= generator.uniform(0, 15, [count, 1, 1, 1]).astype(np.float32)
    images = _backgrounds(count, generator)
    images += masks * contrast
    images += noise
    return np.clip(np.rint(images, out=images), 0, 255).astype(np.uint8), masks


def _backgrounds(count, generator):
    """Smooth colours, 0 to 115: bilinear between nine random ones around an image's own."""
    colour = generator.uniform(15, 100, [count, 1, 1, 3])
    grid = (colour + generator.uniform(-15, 15, [count, 3, 3, 3])).astype(np.float32)
    place = np.linspace(0, 2, IMAGE_SHAPE[0], dtype=np.float32)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(3, dtype=np.float32)))
    return np.einsum("yi,xj,nijc->nyxc", weights, weights, grid, optimize=True)


def _masks(labels, generator):
    count = len(labels)
    fonts = generator.integers(len(FONTS), size=count)
    sizes = generator.integers(20, 34, size=count, endpoint=True)
    slants = generator.uniform(-0.2, 0.2, count)
    angles = np.radians(generator.uniform(-20, 20, count))
    shifts = generator.uniform(-4, 4, [count, 2])
    masks = np.empty([count, *IMAGE_SHAPE[:2]], np.uint8)
    for mask, label, font, size, slant, angle, shift in zip(
        masks, labels, fonts, sizes, slants, angles, shifts, strict=True
    ):
        glyph = _glyph(FONTS[font], int(size), int(label))
        mask[:] = glyph.transform(
            IMAGE_SHAPE[1::-1],
            Image.Transform.AFFINE,
            _affine(slant, angle, shift),
            Image.Resampling.BILINEAR,
        )
    return masks[..., None].astype(np.float32) / 255


def _affine(slant, angle, shift):
    """Where an image's pixel comes from on the canvas, `(a, b, c, d, e, f)` as Pillow wants it.

    Around the centres: undo the shift, then the rotation, then the slant.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    a, b = cosine - slant * sine, sine + slant * cosine
    d, e = -sine, cosine
    x, y = IMAGE_SHAPE[1] / 2 + shift[0], IMAGE_SHAPE[0] / 2 + shift[1]
    return a, b, _CANVAS / 2 - a * x - b * y, d, e, _CANVAS / 2 - d * x - e * y


@functools.cache
def _glyph(font, size, digit):
    """A digit, white on black, in the middle of the canvas."""
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    # The basic layout is always compiled in: pixels then do not depend on optional libraries.
    face = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    drawing = Image.new("L", (_CANVAS, _CANVAS))
    ImageDraw.Draw(drawing).text((_CANVAS // 4, _CANVAS // 8), str(digit), fill=255, font=face)
    # Centred by what is drawn: the font's own box also covers the space beside a slanted digit.
    ink = drawing.crop(drawing.getbbox())
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    canvas.paste(ink, ((_CANVAS - ink.width) // 2, (_CANVAS - ink.height) // 2))
    return canvas
