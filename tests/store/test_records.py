"""One line of records: good ones, and what is said of damaged ones."""

import json

import pytest

from bnkit.kinds import KINDS
from bnkit.store.records import DamagedRecord, parse_record, record_line

LANDSCAPE = {
    "step": 25,
    "kind": "landscape",
    "loss": 1.5,
    "gradient_norm": 2,
    "smoothness": "inf",
    "step_sizes": [0.1, 0.2],
    "losses": [1.0, "nan"],
    "gradient_distances": [3.0, "-inf"],
}
ACTIVATIONS = {
    "step": 0,
    "kind": "activations",
    "layers": ["conv1", "conv1"],
    "units": [0, 1],
    "mean": [0.5, 0.25],
    "quantiles": [[0.0, 1.0], [0.0, "nan"]],
    "edges": [-1.0, 0.0, 1.0],
}


def line(record):
    return json.dumps(record).replace("Infinity", "1e999").encode()


@pytest.mark.parametrize(
    "record",
    [
        LANDSCAPE,
        ACTIVATIONS,
        {"step": 0, "kind": "train"},
        {"step": 2**53 - 1, "kind": "train", "loss": 1e150, "not_known": {"a": [1, "b"]}},
        {"step": 0, "kind": "of_the_user", "a": [1], "b": [[2, 3], "c"], "d": None, "e": "\u00e4"},
    ],
)
def test_a_good_record_is_given_as_it_is(record):
    assert parse_record(line(record)) == record


@pytest.mark.parametrize(
    "content",
    [
        *[b"", b"{oops", b"[1, 2]", b"3", b"null", b'"\xff"', b"\x00", b"[" * 100_000],
        *[b'{"step": 1}', b'{"kind": "train"}', b'{"kind": [], "step": 1}'],
        *[b'{"kind": "train", "step": ' + step + b"}" for step in (b"-1", b'"1"', b"1.0", b"null")],
        *[b'{"kind": "train", "step": ' + step + b"}" for step in (b"true", b"1e3", b"[1]")],
        b'{"kind": "train", "step": 9007199254740992}',
        b'{"kind": "train", "step": 0, "loss": NaN}',
        b'{"kind": "train", "step": 0, "loss": "\\ud800"}',
    ],
)
def test_what_is_no_record_is_shown(content):
    with pytest.raises(DamagedRecord, match="expected a JSON object with step and kind, got '"):
        parse_record(content)


@pytest.mark.parametrize(
    ("whole", "field", "values", "valid"),
    [
        (
            LANDSCAPE,
            "loss",
            [None, "high", True, [1.0], {}, float("inf"), 10**400, 1e308, -1e151],
            "a number",
        ),
        (
            LANDSCAPE,
            "losses",
            [
                *[None, 1.0, "nan", {}, [[1.0], [2.0]]],
                *[[1.0, value] for value in (None, "high", True, float("inf"), 10**400, -1e200)],
            ],
            "a list of numbers",
        ),
        (
            LANDSCAPE,
            "step_sizes",
            [0.1, ["a", "b"], None, *[[0.1, value] for value in (0, -0.1, 1e200, "inf", True)]],
            "a list of numbers > 0",
        ),
        (ACTIVATIONS, "layers", ["conv1", [1, 2], ["conv1", None], None], "a list of texts"),
        (ACTIVATIONS, "units", ["01", ["a", "b"]], "a list of numbers"),
        (ACTIVATIONS, "quantiles", [[0.0, 1.0], [[0.0], 1.0], 3], "a list of lists of numbers"),
        (ACTIVATIONS, "edges", [1.0, [[1.0]], ["a"]], "a list of numbers"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(whole, field, values, valid):
    for value in values:
        with pytest.raises(DamagedRecord) as caught:
            parse_record(line({**whole, field: value}))
        start = f"{field} of a {whole['kind']} record must be {valid}, got "
        assert str(caught.value).startswith(start), value


def test_every_field_of_every_kind_is_checked():
    for kind in KINDS.values():
        for name in [*kind.labels, *(field.name for field in kind.fields)]:
            with pytest.raises(DamagedRecord, match=f"^{name} of a {kind.name} record"):
                parse_record(line({"step": 0, "kind": kind.name, name: {"an": "object"}}))


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(DamagedRecord, match=r"differ in length: .*'step_sizes': 1, 'losses': 2"):
        parse_record(line({**LANDSCAPE, "step_sizes": [0.1]}))
    with pytest.raises(DamagedRecord, match=r"differ in length: .*'unknown': 3"):
        parse_record(line({**LANDSCAPE, "unknown": [1, 2, 3]}))
    # Those of the record as a whole have their own.
    parse_record(line({**ACTIVATIONS, "edges": [0.0]}))


def test_a_measured_number_that_no_figure_can_hold_is_infinite():
    written = record_line({**LANDSCAPE, "loss": 1.1e150, "losses": [1e150, -1e300]})
    assert written.endswith("}\n") and written.count("\n") == 1
    assert parse_record(written.encode()) == {
        **LANDSCAPE,
        "loss": "inf",
        "losses": [1e150, "-inf"],
    }
    # Of what others measure, nothing is known.
    assert json.loads(record_line({"step": 0, "kind": "mine", "huge": 1e300}))["huge"] == 1e300
