"""Which examples are selected, against slices by hand; 24 training and 10 test examples."""

import logging

import numpy as np
import pytest

from bnkit.data import builders
from bnkit.data.dataset import DataError
from bnkit.data.splits import Range, select

pytest.importorskip("tensorflow_datasets")

MISSING = -1


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, store, images):
    directory = tmp_path_factory.mktemp("tfds")

    def unlabelled(size):
        return images(size), np.full(size, MISSING)

    sets = {
        "whole": {"train": images(24), "test": images(10), "validation": images(5)},
        "hidden": {"train": images(24), "test": unlabelled(6), "validation": images(5)},
        "partly": {"train": images(6), "test": (images(4), [MISSING, 2, MISSING, MISSING])},
        "short": {"train": images(24), "val": images(9)},
        "shorter": {"train": images(24), "valid": images(9), "val": unlabelled(3)},
        "nothing": {"train": images(24), "test": unlabelled(6), "extra": images(5)},
        "alone": {"train": images(24)},
        "heldback": {"test": images(4), "extra": images(9)},
    }
    for name, splits in sets.items():
        store(directory, name, splits)
    return str(directory)


def selected(data_dir, name, **expressions):
    builder = builders.prepared(name, data_dir, progress=False)
    return select(builder, "image", "label", **expressions)


def names(selection):
    return {role: part.expression for role, part in selection.items()}


@pytest.mark.parametrize(
    ("name", "test", "size"),
    [
        ("whole", "test", 10),
        ("hidden", "validation", 5),
        ("partly", "test", 4),
        ("short", "val", 9),
        ("shorter", "valid", 9),
    ],
)
def test_by_default_the_first_split_held_back_that_has_labels(data_dir, name, test, size):
    selection = selected(data_dir, name)
    assert names(selection) == {"train": "train", "test": test}
    assert selection["test"].size == size


def test_a_log_message_says_what_is_taken(data_dir, caplog):
    caplog.set_level(logging.INFO, "bnkit")
    selected(data_dir, "hidden")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.getMessage() == (
        "hidden/1.0.0 has no labels in 'test': 'validation' is the test split "
        "(--test_split selects another)"
    )
    caplog.clear()
    selected(data_dir, "short")
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == "short/1.0.0 has no split 'test': 'val' is the test split"
    caplog.clear()
    selected(data_dir, "whole")
    selected(data_dir, "hidden", test_split="validation")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("asked", "expression", "positions"),
    [
        ("train", "train", {"train": range(24)}),
        ("train[:100%]", "train", {"train": range(24)}),
        # 80 % of 24 is 19.2, which TFDS rounds.
        ("train[:80%]", "train[0:19]", {"train": range(19)}),
        ("train[80%:]", "train[19:24]", {"train": range(19, 24)}),
        ("train[-4:]", "train[20:24]", {"train": range(20, 24)}),
        ("train[3:-3]", "train[3:21]", {"train": range(3, 21)}),
        (
            "validation+train[:2]",
            "validation+train[0:2]",
            {"validation": range(5), "train": [0, 1]},
        ),
        ("train[:0]+validation[1:]", "validation[1:5]", {"validation": range(1, 5)}),
    ],
)
def test_an_expression_selects_the_examples_at_these_positions(
    data_dir, asked, expression, positions
):
    part = selected(data_dir, "whole", train_split=asked)["train"]
    assert part.expression == expression
    assert part.size == sum(map(len, positions.values()))
    assert {r.split: list(range(r.start, r.stop)) for r in part.ranges} == {
        split: list(chosen) for split, chosen in positions.items()
    }
    builder = builders.prepared("whole", data_dir, progress=False)

    def pictures(split):
        return np.concatenate(list(builders.read(builder, split, lambda x: x["image"])))

    expected = [pictures(split)[list(chosen)] for split, chosen in positions.items()]
    np.testing.assert_array_equal(pictures(part.expression), np.concatenate(expected))


@pytest.mark.parametrize(
    ("train", "test", "shared"),
    [
        ("train", "train", r"train\[0:24\]"),
        ("train[:60%]", "train[40%:]", r"train\[10:14\]"),
        ("train+test[:3]", None, r"test\[0:3\]"),
        ("test", None, r"test\[0:10\]"),
        ("train[:5]+train[20:]", "validation+train[4:21]", r"train\[4:5\], train\[20:21\]"),
    ],
)
def test_examples_in_both_are_refused(data_dir, train, test, shared):
    with pytest.raises(DataError, match=f"must not overlap.*--train_split=.* share {shared}$"):
        selected(data_dir, "whole", train_split=train, test_split=test)


@pytest.mark.parametrize(
    ("train", "test"),
    [("train[:90%]", "train[90%:]"), ("train[:5]+train[9:]", "train[5:9]+test"), ("test", "train")],
)
def test_examples_side_by_side_do_not_overlap(data_dir, train, test):
    parts = selected(data_dir, "whole", train_split=train, test_split=test)
    assert not set(positions(parts["train"])) & set(positions(parts["test"]))


def positions(part):
    return [(r.split, position) for r in part.ranges for position in range(r.start, r.stop)]


def test_shared_range():
    assert Range("a", 2, 9).shared(Range("a", 5, 20)) == Range("a", 5, 9)
    assert Range("a", 2, 9).shared(Range("a", 9, 20)) is None
    assert Range("a", 2, 9).shared(Range("b", 2, 9)) is None


@pytest.mark.parametrize(
    ("name", "received"),
    [
        ("alone", "Received: splits train$"),
        ("nothing", r"Received: splits train, test \(without labels\), extra$"),
    ],
)
def test_where_none_is_suitable_the_error_names_splits_flags_and_a_way_on(data_dir, name, received):
    way_on = {"train_split": "train[:90%]", "test_split": "train[90%:]"}
    with pytest.raises(DataError, match=received) as caught:
        selected(data_dir, name)
    assert "no split 'test' or 'validation'" in str(caught.value)
    for flag, expression in way_on.items():
        assert f"--{flag}={expression}" in str(caught.value)
    parts = selected(data_dir, name, **way_on)
    assert (parts["train"].size, parts["test"].size) == (22, 2)


def test_no_training_split(data_dir):
    with pytest.raises(DataError, match=r"no split 'train'.* --train_split=extra\[:90%\]"):
        selected(data_dir, "heldback")
    assert selected(data_dir, "heldback", train_split="extra")["test"].size == 4


@pytest.mark.parametrize("flag", ["train_split", "test_split"])
@pytest.mark.parametrize(
    "expression",
    ["trian", "train[", "train[:900%]", "train[:1000]", "all[:5]", "train[5]", "[:10%]", "+", "-1"],
)
def test_an_invalid_expression(data_dir, flag, expression):
    with pytest.raises(DataError, match=f"^--{flag} must be a TFDS split expression") as caught:
        selected(data_dir, "whole", **{flag: expression})
    assert f"Received: --{flag}={expression} (" in str(caught.value)
    assert "train, test, validation" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("expression", ["train[:0]", "train[5:5]", "train[80%:20%]", "train[24:]"])
def test_an_expression_without_examples(data_dir, expression):
    with pytest.raises(DataError, match="--test_split must select at least one") as caught:
        selected(data_dir, "whole", test_split=expression)
    assert f"Received: --test_split={expression}" in str(caught.value)
