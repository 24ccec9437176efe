"""Every form in which a batch may be handed over, against the arrays that it was made of."""

import itertools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from bnkit.data import as_batch

rng = np.random.default_rng(0)
X = rng.normal(size=(6, 4))
Y = rng.integers(0, 3, 6)
WEIGHT = rng.uniform(size=6)


class Batches(keras.utils.PyDataset):
    """`count` batches, each of which says in `x` which one it is."""

    def __init__(self, count, item=lambda index: (X + index, Y)):
        super().__init__()
        self._count = count
        self._item = item
        self.asked = []

    @property
    def num_batches(self):
        return self._count

    def __getitem__(self, index):
        self.asked.append(index)
        return self._item(index)


def test_a_pair_and_a_triple():
    x, y, sample_weight = as_batch((X, Y))
    assert sample_weight is None
    assert tf.is_tensor(x) and tf.is_tensor(y)
    np.testing.assert_array_equal(x, X.astype(np.float32))
    np.testing.assert_array_equal(y, Y)
    for batch in ((X, Y, WEIGHT), [X, Y, WEIGHT]):
        np.testing.assert_array_equal(as_batch(batch)[2], WEIGHT.astype(np.float32))
    assert as_batch((X, Y, None))[2] is None


@pytest.mark.parametrize(
    "convert", [tf.constant, tf.Variable, keras.ops.convert_to_tensor, keras.Variable, pd.DataFrame]
)
def test_whatever_is_like_an_array(convert):
    x, _, _ = as_batch((convert(X), Y))
    assert tf.is_tensor(x)
    np.testing.assert_array_equal(x, X.astype(np.float32))


def test_nested_inputs_and_targets_stay_nested():
    batch = {"image": X, "mask": [X > 0, X]}, {"class": Y, "box": X}, {"class": WEIGHT}
    x, y, sample_weight = as_batch(batch)
    assert list(x) == ["image", "mask"] and isinstance(x["mask"], list)
    np.testing.assert_array_equal(x["mask"][0], X > 0)
    np.testing.assert_array_equal(x["mask"][1], X.astype(np.float32))
    assert set(y) == {"class", "box"}
    np.testing.assert_array_equal(y["class"], Y)
    np.testing.assert_array_equal(sample_weight["class"], WEIGHT.astype(np.float32))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.uint8, np.int64, bool])
def test_types_are_those_that_fit_gives_the_model(kind):
    """Seen by a model in `fit`, from arrays and from both kinds of data sets."""
    seen = []

    class Spy(keras.Model):
        def __init__(self):
            super().__init__(dtype=keras.DTypePolicy("float32"))
            self.autocast = False
            self.scale = self.add_weight(shape=())

        def call(self, x):
            seen.append(x.dtype)
            return self.scale * tf.cast(x, tf.float32)[:, :1]

    x, y = np.ones((6, 4), kind), np.ones((6, 1), np.float32)
    whole = tf.data.Dataset.from_tensors((x, y))
    for arguments, batch in [
        ({"x": x, "y": y, "batch_size": 6}, (x, y)),
        ({"x": whole}, whole),
        ({"x": Batches(1, lambda _: (x, y))}, Batches(1, lambda _: (x, y))),
    ]:
        seen.clear()
        model = Spy()
        model.compile("sgd", "mse")
        model.fit(**arguments, shuffle=False, verbose=0)
        assert as_batch(batch)[0].dtype == seen[-1], arguments


def test_strings_ragged_and_sparse_tensors_pass():
    text = np.array(["a", "b", "c", "d", "e", "f"])
    assert as_batch((text, Y))[0].dtype == tf.string
    ragged = tf.RaggedTensor.from_row_lengths(tf.range(9.0), [2, 0, 3, 1, 1, 2])
    assert as_batch((ragged, Y))[0].to_list() == ragged.to_list()
    sparse = tf.sparse.from_dense(X)
    np.testing.assert_array_equal(tf.sparse.to_dense(as_batch((sparse, Y))[0]), np.float32(X))


def test_the_first_batch_of_a_data_set_that_never_ends():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y, WEIGHT)).batch(4).repeat()
    x, y, sample_weight = as_batch(dataset)
    np.testing.assert_array_equal(x, X[:4])
    np.testing.assert_array_equal(y, Y[:4])
    np.testing.assert_array_equal(sample_weight, WEIGHT[:4])


def test_no_more_than_the_first_batch_is_read():
    read = []

    def examples():
        for index in itertools.count():
            read.append(index)
            yield X[:2] + index, Y[:2]

    signature = (tf.TensorSpec((2, 4), tf.float64), tf.TensorSpec((2,), tf.int64))
    x, _, _ = as_batch(tf.data.Dataset.from_generator(examples, output_signature=signature))
    np.testing.assert_array_equal(x, X[:2])
    assert read == [0]


@pytest.mark.parametrize("count", [1, 3, None])
def test_item_0_of_a_py_dataset(count):
    dataset = Batches(count)
    x, y, sample_weight = as_batch(dataset)
    assert dataset.asked == [0] and sample_weight is None
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def batches_without_end():
    while True:
        yield X, Y


@pytest.mark.parametrize(
    ("batch", "received"),
    [
        (None, "NoneType"),
        (3, "int"),
        ("x, y", "str"),
        (X, r"ndarray of shape \(6, 4\)"),
        ((X,), "a tuple of 1"),
        ((X, Y, WEIGHT, Y), "a tuple of 4"),
        ({"image": X, "label": Y}, "a dict with the keys image, label"),
        ((X, None), "y with NoneType where an array is needed"),
        (([X, None], Y), "x with NoneType where an array is needed"),
        ((X, [None, None]), "y of shape nothing"),
        ((X, [0, 1, 2, 0, 1, 2]), "y with int where an array is needed"),
        (([X, "mask"], Y), "x with str where an array is needed"),
        ((X, np.float32(3)), "y with a single number"),
        ((X, Y[:5]), r"x of shape \(6, 4\), y of shape \(5,\)"),
        (([X, X[:3]], Y), r"x of shape \(6, 4\) and \(3, 4\), y of shape \(6,\)"),
        ((X, Y, WEIGHT[:1]), r"sample_weight of shape \(1,\)"),
        ((X[:0], Y[:0]), r"x of shape \(0, 4\)"),
        (([], Y), "x of shape nothing"),
        ((np.array([object()] * 6), Y), r"x with ndarray of shape \(6,\), not convertible"),
        ((keras.Input((4,)), Y), r"x with KerasTensor .*not convertible"),
        (batches_without_end(), "generator, an iterator: .* missing in training"),
        (iter([(X, Y)]), "list_iterator, an iterator"),
        (tf.data.Dataset.from_tensors((X, Y)).take(0), "without batches"),
        (tf.data.Dataset.from_tensors((X, Y)).take(0).repeat(), "without batches"),
        (tf.data.Dataset.from_tensors(X), "whose first batch is EagerTensor of shape"),
        (tf.data.Dataset.from_tensors({"image": X}), "first batch is a dict with the keys image"),
        (tf.data.Dataset.from_tensor_slices((X, Y)), "y with a single number"),
        (Batches(0), "Batches, a PyDataset without batches"),
        (Batches(2, lambda index: X), r"Batches whose first batch is ndarray of shape \(6, 4\)"),
    ],
)
def test_anything_else_is_refused_and_named(batch, received):
    with pytest.raises(ValueError, match=rf"^A batch must be \(x, y\).* Received: .*{received}"):
        as_batch(batch)


def test_an_iterator_keeps_its_first_batch():
    batches = iter(tf.data.Dataset.from_tensor_slices(np.arange(3)))
    with pytest.raises(ValueError, match="an iterator"):
        as_batch(batches)
    assert next(batches) == 0


def test_an_output_without_labels_stays_so():
    _, y, sample_weight = as_batch((X, [Y, None], [None, WEIGHT]))
    assert y[1] is None and sample_weight[0] is None
    np.testing.assert_array_equal(y[0], Y)
    np.testing.assert_array_equal(sample_weight[1], WEIGHT.astype("float32"))
