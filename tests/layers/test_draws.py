"""The numbers of the noise: from the words of the generator, and as a sample of their distribution.

Of one fixed seed; bounds are five standard errors, and tests of scipy reject at p < 1e-4.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from bnkit.layers import draws

SEED = (3, 4)
SHAPE = (64, 16, 16, 32)


def draw(shape, mu=0.0, sigma=1.0, r_mu=1.0, r_sigma=1.0, seed=SEED):
    """`(s, m)` in float64; by default `s - 1 ~ N(0, 1)` and `m ~ U(-1, 1)`."""
    units = np.zeros(shape[-1])
    numbers = (
        tf.constant(value, tf.float32) for value in (mu + units, sigma + units, r_mu, r_sigma)
    )
    drawn = draws.scale_and_shift(*numbers, tf.constant(seed), tf.constant(shape))
    return [value.numpy().astype("float64") for value in drawn]


@pytest.fixture(scope="module")
def sample():
    """Half a million normal and as many uniform numbers, of the shape of a layer."""
    scale, shift = draw(SHAPE)
    return {"normal": scale - 1, "uniform": shift}


@pytest.mark.parametrize(
    "key, counter, words",
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_words_that_its_authors_publish(key, counter, words):
    """`threefry2x32 20` of the file `kat_vectors` of Random123."""
    counter = [tf.constant([word], tf.uint32) for word in counter]
    actual = draws.threefry(tf.constant(key, tf.uint32), counter)
    assert [int(word[0]) for word in actual] == list(words)


@pytest.mark.parametrize("shape", [(7, 5), (3, 5, 2, 9)], ids=["dense", "image"])
def test_algorithm_1_in_float64_from_the_words_of_the_generator(shape):
    """Word by word without XLA: a value's words are those of its place in the tensor."""
    count = [tf.range(np.prod(shape)), tf.zeros(np.prod(shape))]
    words = draws.threefry(tf.constant(SEED, tf.uint32), [tf.cast(c, tf.uint32) for c in count])
    of_s, of_m = (
        (2 * (word.numpy() >> 8).astype("float64") + 1).reshape(shape) / 2**25 for word in words
    )
    mu, sigma = np.linspace(-0.5, 0.5, shape[-1]), np.linspace(1, 1.25, shape[-1])
    scale, shift = draw(shape, mu, sigma, 0.1, 0.3)
    np.testing.assert_allclose(shift, mu + 0.1 * (2 * of_m - 1), rtol=0, atol=1e-7)
    np.testing.assert_allclose(scale, sigma + 0.3 * stats.norm.ppf(of_s), rtol=0, atol=4e-7)


def test_normal_quantile_up_to_the_last_level():
    # Every level of the tail from the 4096th last on, and the middle; w = 5 lies between.
    levels = np.concatenate([np.arange(1, 2**13, 2), 2**24 - np.arange(1, 2**24, 2**10 - 2)])
    x = np.concatenate([levels, -levels]) / 2.0**24
    tail = np.sign(x) * (1 - np.abs(x)) + (x == 0)
    x = np.concatenate([x, tail])
    assert np.abs(x).max() == 1 - 2.0**-24
    actual = draws.normal_quantile(tf.constant(x, tf.float32)).numpy()
    np.testing.assert_allclose(actual, np.sqrt(2) * special.erfinv(x), rtol=5e-7)


def test_distributions(sample):
    assert stats.kstest(sample["normal"].ravel(), "norm").pvalue > 1e-4
    assert stats.kstest(sample["uniform"].ravel(), "uniform", (-1, 2)).pvalue > 1e-4
    count = sample["normal"].size
    for power in range(1, 9):
        for name, moment in (
            ("normal", lambda k: 0 if k % 2 else special.factorial2(k - 1)),
            ("uniform", lambda k: 0 if k % 2 else 1 / (k + 1)),
        ):
            error = np.sqrt((moment(2 * power) - moment(power) ** 2) / count)
            assert abs(np.mean(sample[name] ** power) - moment(power)) < 5 * error, (name, power)
    # The tails, where a Kolmogorov-Smirnov test sees nothing.
    for limit in (3, 4, 4.5):
        expected = count * stats.norm.sf(limit)
        for side in (1, -1):
            beyond = np.sum(side * sample["normal"] > limit)
            assert abs(beyond - expected) < 5 * np.sqrt(expected), (limit, side)


def test_all_bits_are_balanced_and_independent(sample):
    """Of the uniform numbers, whose levels are the generator's bits."""
    level = np.round((sample["uniform"].ravel() + 1) * 2**23 - 0.5).astype("int64")
    np.testing.assert_array_equal((2 * level + 1) / 2**24 - 1, sample["uniform"].ravel())
    bits = 2.0 * ((level[:, None] >> np.arange(24)) & 1) - 1
    bound = 5 / np.sqrt(len(level))
    assert np.abs(bits.mean(0)).max() < bound
    assert np.abs(bits.T @ bits / len(level) - np.eye(24)).max() < bound


def test_neighbours_and_the_two_of_a_word_are_independent(sample):
    # Uniform marginals: then every cell of a joint histogram is as likely.
    ranks = {"uniform": (1 + sample["uniform"]) / 2, "normal": special.ndtr(sample["normal"])}
    pairs = {"two of a word": (ranks["uniform"], ranks["normal"])}
    for axis, place in enumerate(("sample", "row", "column", "unit")):
        for name, other in (("uniform", "uniform"), ("normal", "normal"), ("uniform", "normal")):
            shifted = np.delete(ranks[other], 0, axis)
            pairs[f"{name}, {other} of the next {place}"] = (
                np.delete(ranks[name], -1, axis),
                shifted,
            )
    for name, (one, other) in pairs.items():
        cells = (np.floor(16 * one) * 16 + np.floor(16 * other)).astype("int64").ravel()
        assert stats.chisquare(np.bincount(cells, minlength=256)).pvalue > 1e-4, name


def test_other_seeds_draw_other_numbers(sample):
    bound = 5 / np.sqrt(sample["normal"].size)
    for scale, shift in (draw(SHAPE, seed=other) for other in ((3, 5), (4, 4))):
        for one, other in (("normal", scale - 1), ("uniform", shift)):
            assert abs(np.corrcoef(sample[one].ravel(), other.ravel())[0, 1]) < bound


DIGEST = """
import hashlib
import tensorflow as tf
from bnkit.layers import draws

units = tf.linspace(0.0, 1.0, 31)
values = draws.scale_and_shift(
    units, units, *tf.constant([0.1, 0.2]), tf.constant([3, 4]), tf.constant([63, 16, 17, 31])
)
digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in values)).hexdigest()
"""


def test_bit_for_bit_with_any_number_of_threads():
    """In two calls here, with all cores, and in another process with one thread, or three."""
    digests = set()
    for _ in range(2):
        names = {}
        exec(DIGEST, names)
        digests.add(names["digest"])
    there = subprocess.run(
        [sys.executable, "-c", DIGEST + "print(digest)"],
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1" if os.cpu_count() > 1 else "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert digests == {there.stdout.strip()}
