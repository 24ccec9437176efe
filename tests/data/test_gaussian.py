"""The regression data: both splits are `A x` with one A, and all is a function of the seed."""

import numpy as np
import pytest

from bnkit.data import Batches, load_gaussian


def matrix_of(split):
    """A, recovered from `y = A x` by least squares."""
    solution, *_ = np.linalg.lstsq(
        split.x.astype(np.float64), split.y.astype(np.float64), rcond=None
    )
    return solution.T


def test_shapes_types_and_what_a_dataset_has():
    dataset = load_gaussian(samples=50, dim=4, seed=0)
    for split in (dataset.train, dataset.test):
        assert split.x.shape == split.y.shape == (50, 4) and len(split) == 50
        assert split.x.dtype == split.y.dtype == np.float32
    assert (dataset.name, dataset.classes, dataset.input_shape) == ("gaussian", None, (4,))
    assert len(dataset.fingerprint) == 16 and int(dataset.fingerprint, 16) >= 0
    assert dataset.prepare(dataset.train.x) is dataset.train.x


@pytest.mark.parametrize("seed", [0, 1])
def test_targets_are_one_matrix_times_the_inputs_in_both_splits(seed):
    """Rounding to float32 is 6e-8 of each number."""
    dataset = load_gaussian(samples=200, dim=10, seed=seed)
    matrix = matrix_of(dataset.train)
    np.testing.assert_allclose(matrix_of(dataset.test), matrix, atol=1e-6)
    for split in (dataset.train, dataset.test):
        np.testing.assert_allclose(split.x.astype(np.float64) @ matrix.T, split.y, atol=1e-5)
    assert not np.allclose(matrix, matrix.T, atol=0.1)


def test_inputs_are_independent_standard_gaussians():
    """Within five standard errors: of a mean 1/sqrt(n), of a variance sqrt(2/n)."""
    dataset = load_gaussian(samples=4000, dim=5, seed=3)
    for x in (dataset.train.x, dataset.test.x):
        x = x.astype(np.float64)
        np.testing.assert_allclose(x.mean(0), 0, atol=5 / np.sqrt(4000))
        np.testing.assert_allclose(x.T @ x / 4000, np.eye(5), atol=5 * np.sqrt(2 / 4000))
        # A Gaussian's fourth moment is 3; the standard error of its estimate sqrt(96 / n).
        assert abs((x**4).mean() - 3) < 5 * np.sqrt(96 / x.size)


def test_the_matrix_is_standard_gaussian():
    matrix = matrix_of(load_gaussian(samples=120, dim=60, seed=0).train)
    assert abs(matrix.mean()) < 5 / 60
    assert abs(matrix.var() - 1) < 5 * np.sqrt(2) / 60


def test_the_splits_have_no_sample_in_common():
    dataset = load_gaussian(samples=50, dim=3, seed=0)
    assert not np.isin(dataset.train.x, dataset.test.x).any()


def test_a_seed_gives_the_same_data_and_another_others():
    one, same, other = (load_gaussian(samples=20, dim=3, seed=seed) for seed in (5, 5, 6))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    np.testing.assert_array_equal(one.train.x, same.train.x)
    np.testing.assert_array_equal(one.test.y, same.test.y)
    assert not np.isclose(one.train.x, other.train.x).any()
    assert np.abs(matrix_of(one.train) - matrix_of(other.train)).max() > 0.1


def test_the_fingerprint_sees_the_sizes():
    prints = {load_gaussian(n, dim, seed=0).fingerprint for n in (20, 21) for dim in (3, 4)}
    assert len(prints) == 4


def test_a_batch_of_all_samples_is_in_their_own_order_at_every_step():
    split = load_gaussian(samples=12, dim=3, seed=0).train
    batches = Batches(split, 12, seed=4)
    for step in (0, 1, 7, 10_000):
        np.testing.assert_array_equal(batches.indices(step), np.arange(12))
    x, y = batches.stack(3, 8)
    assert x.shape == y.shape == (5, 12, 3)
    for step in range(5):
        np.testing.assert_array_equal(x[step], split.x)
        np.testing.assert_array_equal(y[step], split.y)


def test_any_number_of_full_batches_takes_the_memory_of_one():
    split = load_gaussian(samples=12, dim=3, seed=0).train
    x, _ = Batches(split, 12, seed=4).stack(0, 500)
    assert np.shares_memory(x, split.x)


def test_smaller_batches_are_shuffled():
    split = load_gaussian(samples=12, dim=3, seed=0).train
    batches = Batches(split, 6, seed=4)
    epochs = [np.concatenate([batches.indices(2 * e), batches.indices(2 * e + 1)]) for e in (0, 1)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(12))
        assert (epoch != np.arange(12)).any()
    assert (epochs[0] != epochs[1]).any()
    x, y = batches.stack(0, 2)
    np.testing.assert_array_equal(x.reshape(12, 3), split.x[epochs[0]])
    np.testing.assert_array_equal(y.reshape(12, 3), split.y[epochs[0]])
