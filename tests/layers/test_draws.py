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

# Without a mean of its own every value is `s - 1 ~ N(0, 1)` and `m ~ U(-1, 1)`.
STANDARD = (0.0, 1.0, 1.0, 1.0)
SEEDS = ((3, 4), (5, 6))
SHAPE = (64, 16, 16, 32)


def draw(shape, constants=STANDARD, seeds=SEEDS):
    scale, shift = draws.scale_and_shift(
        tf.constant(seeds), tf.constant(shape), tf.constant(constants, tf.float32)
    )
    return scale.numpy().astype("float64"), shift.numpy().astype("float64")


@pytest.fixture(scope="module")
def sample():
    """Half a million normal and as many uniform numbers, of the shape of a layer."""
    scale, shift = draw(SHAPE)
    return {"normal": scale - 1, "uniform": shift}


def uniform_pairs(seed, shape):
    """Two of (-1, 1) for each word of TensorFlow's own kernel, in float64."""
    words = tf.random.stateless_uniform(shape, seed, None, None, tf.uint64, alg="philox").numpy()
    return [
        (2 * bits.astype("float64") + 1) / 2**24 - 1
        for bits in (words >> np.uint64(40), words % np.uint64(2**24))
    ]


@pytest.mark.parametrize("shape", [(7, 5), (3, 5, 2, 9)], ids=["dense", "image"])
def test_algorithm_1_in_float64_from_the_words_of_the_generator(shape):
    n_mu, n_sigma, r_mu, r_sigma = constants = 0.5, 1.25, 0.1, 0.3
    (of_mu, of_sigma), (of_m, of_s) = (
        uniform_pairs(seed, where) for seed, where in zip(SEEDS, (shape[-1:], shape), strict=True)
    )
    mu, sigma = n_mu * of_mu, 1 + (n_sigma - 1) * (1 + of_sigma) / 2
    scale, shift = draw(shape, constants)
    np.testing.assert_allclose(shift, mu + r_mu * of_m, rtol=0, atol=1e-7)
    np.testing.assert_allclose(
        scale, sigma + r_sigma * stats.norm.ppf((1 + of_s) / 2), rtol=0, atol=4e-7
    )


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
    for scale, shift in (draw(SHAPE, seeds=(SEEDS[0], other)) for other in ((5, 7), (6, 6))):
        for one, other in (("normal", scale - 1), ("uniform", shift)):
            assert abs(np.corrcoef(sample[one].ravel(), other.ravel())[0, 1]) < bound


DIGEST = """
import hashlib
import tensorflow as tf
from bnkit.layers import draws

values = draws.scale_and_shift(
    tf.constant([[3, 4], [5, 6]]), tf.constant([63, 16, 17, 31]), tf.constant([0.5, 1.25, 0.1, 0.1])
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
