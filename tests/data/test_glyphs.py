import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bnkit.data import load
from bnkit.data.dataset import DataError
from bnkit.data.glyphs import FONTS, _glyph, load_glyphs, render

SIZES = {"train_size": 530, "test_size": 70, "progress": False}


@pytest.fixture(scope="session")
def glyphs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNKIT_CACHE_DIR", str(tmp_path_factory.mktemp("glyphs")))
        return load_glyphs(**SIZES)


def test_shapes_and_class_balance(glyphs):
    assert glyphs.name == "glyphs"
    assert glyphs.classes == 10
    assert glyphs.train.x.shape == (530, 32, 32, 3)
    assert glyphs.test.x.shape == (70, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(glyphs.train.y), [53] * 10)
    np.testing.assert_array_equal(np.bincount(glyphs.test.y), [7] * 10)


def test_all_images_differ_across_splits_and_chunks(glyphs):
    images = np.concatenate([glyphs.train.x, glyphs.test.x]).reshape(600, -1)
    assert len(np.unique(images, axis=0)) == 600


def test_same_pixels_in_another_process_and_cache(glyphs, tmp_path):
    program = (
        f"from bnkit.data.glyphs import load_glyphs\nprint(load_glyphs(**{SIZES!r}).fingerprint)\n"
    )
    folders = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "BNKIT_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONHASHSEED": "7",
    }
    answer = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    assert answer.strip() == glyphs.fingerprint


def test_another_seed_is_another_set(glyphs, tmp_path, monkeypatch):
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path))
    assert load_glyphs(**SIZES, seed=1).fingerprint != glyphs.fingerprint


def test_a_digit_is_brighter_than_its_background_in_every_channel():
    labels = np.arange(400) % 10
    images, masks = render(labels, np.random.default_rng(0))
    digit = masks > 0.95
    background = masks == 0
    # Thin strokes may not cover a single pixel fully; nearly all digits have some that are.
    drawn = digit.sum((1, 2, 3)) >= 5
    assert drawn.mean() > 0.9
    pixels = images.astype(np.float64)
    inside = (pixels * digit).sum((1, 2)) / np.maximum(digit.sum((1, 2)), 1)
    outside = (pixels * background).sum((1, 2)) / background.sum((1, 2))
    contrast = (inside - outside)[drawn]
    # 70 to 135, give or take the slope of the background (15) and the noise left in the mean.
    assert contrast.min() > 70 - 35
    assert contrast.max() < 135 + 35
    assert 95 < contrast.mean() < 110
    assert outside.max() < 125


def test_noise_deviation_lies_between_0_and_15():
    images, masks = render(np.arange(300) % 10, np.random.default_rng(1))
    # Neighbouring background pixels share the smooth colour, so their difference is noise.
    both = (masks[:, :, 1:] == 0) & (masks[:, :, :-1] == 0)
    difference = images[:, :, 1:].astype(np.float64) - images[:, :, :-1]
    deviation = np.sqrt((difference**2 * both).sum((1, 2, 3)) / both.sum((1, 2, 3)) / 3 / 2)
    assert deviation.min() < 2
    assert 12 < deviation.max() < 16.5
    assert 5.5 < deviation.mean() < 9.5


def test_every_font_draws_ten_digits():
    assert len(set(FONTS)) == len(FONTS) == 20
    for font in FONTS:
        # What a font draws for characters that it lacks is one and the same box, or nothing.
        digits = [np.asarray(_glyph(font, 28, digit)) for digit in range(10)]
        assert len({digit.tobytes() for digit in digits}) == 10, font
        for digit in digits:
            rows, columns = np.nonzero(digit > 128)
            assert 12 <= np.ptp(rows) + 1 <= 30, font
            assert 4 <= np.ptp(columns) + 1 <= 30, font
            # In the middle, so that rotation and shift keep it in view.
            assert abs(rows.min() + rows.max() - 63) <= 3, font
            assert abs(columns.min() + columns.max() - 63) <= 3, font


def test_masks_look_like_their_digits():
    _, masks = render(np.arange(2000) % 10, np.random.default_rng(2))
    masks = masks.reshape(200, 10, -1).astype(np.float64)
    means = masks[:100].mean(0)
    # Even the mean image of each class, blurred by all the rotations and shifts, tells them apart.
    distances = np.square(masks[100:, :, None] - means).sum(-1)
    accuracy = np.mean(distances.argmin(-1) == np.arange(10))
    assert accuracy > 0.3


def test_progress_bar_goes_to_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    load_glyphs(train_size=10, test_size=10)
    shown = capsys.readouterr()
    assert "rendering glyphs" in shown.err
    assert shown.out == ""
    load_glyphs(train_size=10, test_size=10)
    assert capsys.readouterr().err == ""


def test_load_dispatches_by_name(monkeypatch, glyphs):
    monkeypatch.setattr("bnkit.data.load_glyphs", lambda *, progress: (glyphs, progress))
    assert load("glyphs", progress=False) == (glyphs, False)


@pytest.mark.parametrize("flag", ["train_split", "test_split"])
def test_glyphs_have_their_own_splits(flag):
    with pytest.raises(DataError, match=rf"are for TFDS sets.* --{flag}=train\[:5\]"):
        load("glyphs", **{flag: "train[:5]"})


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"train_size": 9}, "train_size=9, test_size=2000"),
        ({"test_size": 0}, "train_size=20000, test_size=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_arguments_out_of_range(arguments, received):
    with pytest.raises(DataError, match=f"Received: {received}"):
        load_glyphs(**arguments)


def test_import_loads_no_tensorflow():
    program = (
        "import sys, bnkit.data\n"
        "print([name for name in sys.modules if name.startswith('tensorflow')])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    answer = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    assert answer.strip() == "[]"
