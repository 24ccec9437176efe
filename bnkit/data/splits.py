"""Which examples of a TFDS set are for training and which for testing."""

import itertools
import logging
from dataclasses import dataclass
from typing import NamedTuple

from bnkit.data import builders
from bnkit.data.dataset import DataError

# What sets call the examples that are held back from training; the first with labels is taken.
_HELD_BACK = ("test", "validation", "val", "valid")
# TFDS shuffles examples when it writes them, so this many tell whether a split has labels.
_LOOKED_AT = 1000

_log = logging.getLogger(__name__)


class Range(NamedTuple):
    """The examples `start <= position < stop` of a split of the set, in TFDS's order."""

    split: str
    start: int
    stop: int

    def shared(self, other):
        """The range of the examples in both, None if there are none."""
        start, stop = max(self.start, other.start), min(self.stop, other.stop)
        return (
            Range(self.split, start, stop) if self.split == other.split and start < stop else None
        )

    def __str__(self):
        return f"{self.split}[{self.start}:{self.stop}]"


@dataclass(frozen=True)
class Selection:
    """Examples of a TFDS set.

    Attributes:
        expression: The TFDS expression that reads them, in one form: `train[:80%]` and
            `train[:800]` of 1,000 examples are both `train[0:800]`.
        size: Number of examples.
        ranges: The same as a tuple of `Range`.
    """

    expression: str
    size: int
    ranges: tuple


def select(builder, image_key, label_key, train_split=None, test_split=None, is_told=True):
    """Finds the training and the test examples of a prepared set.

    Args:
        builder: A prepared TFDS builder.
        image_key, label_key: The names of the image and of the label in an example.
        train_split, test_split: TFDS split expressions. By default `train`, and the first of
            `test`, `validation`, `val` and `valid` that exists and has labels (-1 stands for an
            unknown label).
        is_told: Whether a log message says so where it is not `test`.

    Returns:
        `{"train": Selection, "test": Selection}`.

    Raises:
        DataError: If an expression is invalid or selects nothing, if there is no suitable
            split, or if training and test examples overlap.
    """
    train = _selection(builder, "--train_split", train_split or _default_train(builder))
    test = _selection(
        builder,
        "--test_split",
        test_split or _default_test(builder, image_key, label_key, is_told),
    )
    pairs = itertools.product(train.ranges, test.ranges)
    overlaps = [overlap for one, other in pairs if (overlap := one.shared(other))]
    if overlaps:
        raise DataError(
            f"Training and test examples of {builder.info.full_name!r} must not overlap. "
            f"{_advice(builder)} Received: --train_split={train_split or train.expression} "
            f"--test_split={test_split or test.expression}, which share "
            f"{', '.join(map(str, overlaps))}"
        )
    return {"train": train, "test": test}


def _selection(builder, flag, expression):
    import tensorflow_datasets as tfds

    splits = builder.info.splits
    try:
        instructions = tfds.core.ReadInstruction.from_spec(expression).to_absolute(splits)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(
            f"{flag} must be a TFDS split expression over the splits of "
            f"{builder.info.full_name!r}, {_listed(builder)}; such as train, train[:90%] or "
            f"train+test[:500]. Received: {flag}={expression} ({builders.summary(error)})"
        ) from error
    ranges, parts = [], []
    for split, start, stop in ((i.splitname, i.from_ or 0, i.to) for i in instructions):
        size = splits[split].num_examples
        chosen = Range(split, start, size if stop is None else stop)
        if chosen.start < chosen.stop:
            ranges.append(chosen)
            parts.append(split if chosen == Range(split, 0, size) else str(chosen))
    if not ranges:
        raise DataError(
            f"{flag} must select at least one example of {builder.info.full_name!r}, which has "
            f"the splits {_listed(builder)}. Received: {flag}={expression}"
        )
    return Selection("+".join(parts), sum(r.stop - r.start for r in ranges), tuple(ranges))


def _default_train(builder):
    if "train" not in _filled(builder):
        raise _unsuitable(builder, "no split 'train'", _listed(builder))
    return "train"


def _default_test(builder, image_key, label_key, is_told):
    unlabelled = []
    for split in _HELD_BACK:
        if split not in _filled(builder):
            continue
        if _has_labels(builder, split, image_key, label_key):
            if is_told:
                _say_what_is_taken(builder, split, unlabelled)
            return split
        unlabelled.append(split)
    raise _unsuitable(
        builder,
        f"no split {' or '.join(map(repr, _HELD_BACK))} with labels",
        _listed(builder, unlabelled),
    )


def _say_what_is_taken(builder, split, unlabelled):
    name = builder.info.full_name
    if unlabelled:
        _log.warning(
            "%s has no labels in %s: %r is the test split (--test_split selects another)",
            name,
            " and ".join(map(repr, unlabelled)),
            split,
        )
    elif split != "test":
        _log.info("%s has no split 'test': %r is the test split", name, split)


def _has_labels(builder, split, image_key, label_key):
    """Whether any of the first examples of a split has a label that is not -1."""
    first = f"{split}[:{min(_LOOKED_AT, builder.info.splits[split].num_examples)}]"
    batches = builders.read(builder, first, lambda example: example[label_key], [image_key])
    return any((labels >= 0).any() for labels in batches)


def _unsuitable(builder, problem, listed):
    return DataError(
        f"The data set {builder.info.full_name!r} in {builder.data_path} has {problem}. "
        f"{_advice(builder)} Received: splits {listed}"
    )


def _advice(builder):
    """Which flags to use: what always works is to cut one split in two."""
    filled = _filled(builder)
    split = "train" if "train" in filled or not filled else max(filled, key=filled.get)
    return (
        "Select others with --train_split and --test_split, which take any TFDS split "
        f"expression; --train_split={split}[:90%] --test_split={split}[90%:] cuts one in two."
    )


def _filled(builder):
    """Name -> number of examples, of the splits that have any."""
    splits = builder.info.splits.items()
    return {name: info.num_examples for name, info in splits if info.num_examples}


def _listed(builder, unlabelled=()):
    names = [
        f"{name} (without labels)" if name in unlabelled else name for name in _filled(builder)
    ]
    return ", ".join(names) or "none"
