import numpy as np
import pytest

from bnkit.data.dataset import DataError, Dataset, Split, make_dataset


def random_split(size, seed, shape=(4, 5, 3)):
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 256, [size, *shape]).astype(np.uint8)
    return Split(x, (np.arange(size) % 3).astype(np.int32))


def changed(split, **arrays):
    return Split(**{"x": split.x.copy(), "y": split.y.copy()} | arrays)


@pytest.fixture
def train():
    # More images than are converted at a time, so that the chunks have to be put together.
    return random_split(1500, seed=0)


@pytest.fixture
def test():
    return random_split(7, seed=1)


def test_statistics_are_those_of_the_training_split(train, test):
    dataset = make_dataset("random", train, test, 3)
    pixels = train.x.astype(np.float64)
    np.testing.assert_allclose(dataset.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(dataset.deviation, pixels.std((0, 1, 2)), rtol=1e-12)
    assert dataset.input_shape == (4, 5, 3)
    assert len(dataset.train) == 1500


def test_prepare_standardises_each_channel(train, test):
    tf = pytest.importorskip("tensorflow")
    skewed = changed(train, x=train.x // np.array([1, 3, 50], np.uint8))
    dataset = make_dataset("random", skewed, test, 3)
    prepared = tf.function(dataset.prepare)(skewed.x)
    assert prepared.dtype == tf.float32
    values = prepared.numpy().astype(np.float64)
    np.testing.assert_allclose(values.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(values.std((0, 1, 2)), 1, atol=1e-5)
    pixels = skewed.x.astype(np.float64)
    expected = (pixels - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    np.testing.assert_allclose(dataset.prepare(skewed.x), expected, atol=1e-5)


def test_constant_channel_becomes_zero(train, test):
    x = train.x.copy()
    x[..., 1] = 77
    dataset = make_dataset("constant", changed(train, x=x), test, 3)
    assert dataset.mean[1] == 77
    assert dataset.deviation[1] == 1
    prepared = dataset.prepare(x[:2]).numpy()
    assert np.isfinite(prepared).all()
    assert not prepared[..., 1].any()


def test_fingerprint_changes_with_one_pixel_one_label_and_the_split(train, test):
    def fingerprint(train, test):
        return make_dataset("random", train, test, 3).fingerprint

    pixel = train.x.copy()
    pixel[1200, 2, 3, 1] ^= 1
    label = test.y.copy()
    label[-1] = (label[-1] + 1) % 3
    reshaped = [changed(split, x=split.x.reshape(-1, 5, 4, 3)) for split in (train, test)]
    fingerprints = [
        fingerprint(train, test),
        fingerprint(changed(train, x=pixel), test),
        fingerprint(train, changed(test, y=label)),
        fingerprint(test, train),
        fingerprint(*reshaped),
    ]
    assert len(set(fingerprints)) == 5
    assert all(len(digits) == 16 and int(digits, 16) >= 0 for digits in fingerprints)
    assert fingerprint(changed(train), changed(test)) == fingerprints[0]


@pytest.mark.parametrize(
    ("arrays", "received"),
    [
        ({"x": np.zeros([2, 4, 5], np.uint8)}, r"uint8 of shape \(2, 4, 5\)"),
        ({"x": np.zeros([2, 4, 5, 3], np.float64)}, "float64"),
        ({"x": np.zeros([0, 4, 5, 3], np.uint8)}, r"\(0, 4, 5, 3\)"),
        ({"y": np.zeros([7], np.int64)}, "int64"),
        ({"y": np.zeros([6], np.int32)}, r"int32 of shape \(6,\)"),
        ({"y": np.zeros([7], np.float32)}, "float32"),
    ],
)
def test_split_refuses_other_shapes_and_types(test, arrays, received):
    with pytest.raises(DataError, match=f"Received: .*{received}"):
        changed(test, **arrays)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range(train, test, label):
    labels = test.y.copy()
    labels[4] = label
    with pytest.raises(DataError, match=f"test labels .* 0 to 2. Received: .*{label}"):
        make_dataset("random", train, changed(test, y=labels), 3)


def test_image_shapes_must_agree(train):
    other = random_split(7, seed=1, shape=(5, 5, 3))
    with pytest.raises(DataError, match=r"Received: \(4, 5, 3\) and \(5, 5, 3\)"):
        make_dataset("random", train, other, 3)


def test_one_statistic_per_channel(train, test):
    with pytest.raises(DataError, match=r"one number per channel, 3. Received: \(1.0,\)"):
        Dataset("random", train, test, 3, "0" * 16, mean=(1.0,), deviation=(1.0, 1.0, 1.0))
