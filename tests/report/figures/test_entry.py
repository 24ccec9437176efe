"""What an entry says about itself."""

import pytest

from bnkit import kinds
from bnkit.report.figures.entry import Entry, are_measured
from bnkit.report.runs import read_runs


def _entry(needs, **options):
    return Entry("name", "Title", None, None, needs, "Caption.", "Source.", **options)


def test_kinds_are_those_needed_and_then_the_optional_ones():
    entry = _entry({"train": "loss"}, optional=("eval",))
    assert entry.kinds == ("train", "eval") and entry.group == kinds.TRAINING
    assert _entry({"seconds": "seconds"}).group == kinds.COST


@pytest.mark.parametrize(
    ("name", "probes", "recorded", "expected"),
    [
        ("curvature", [], (), False),
        ("curvature", ["curvature"], (), True),
        ("curvature", [], ("curvature",), True),
        # Written by the probe of another kind.
        ("signal_propagation", ["activations"], (), True),
        ("signal_propagation", ["signal_propagation"], (), False),
        ("train", [], (), True),
        ("seconds", [], (), True),
    ],
)
def test_by_default_it_applies_where_its_kind_is_recorded_or_asked_for(
    runs, name, probes, recorded, expected
):
    found = read_runs(runs(probes=probes, kinds=recorded, steps=30))
    assert _entry({name: "step"}).applies(found) is expected
    assert are_measured([name, "eval"], found) is expected
    assert are_measured([name, "weights"], found) is False


def test_what_is_missing_is_a_kind_without_a_value(runs):
    from bnkit.report import frames

    found = read_runs(runs(steps=30, kinds=("train",)))
    tables = {kind: frames.frame(found, kind) for kind in ("train", "ics")}
    assert _entry({"train": "loss"}).missing(tables) is None
    assert _entry({"train": "loss", "ics": "l2"}).missing(tables) == "ics"
    assert _entry({"train": "no such column"}).missing(tables) == "train"
