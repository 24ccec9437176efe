"""One line of records: what it must be for everything that reads it to rely on."""

import functools
import json
import math

from bnkit.kinds import KINDS, LABELS, Layout
from bnkit.store.encoding import NON_FINITE, to_json

# What is measured beyond it, which float32 never reaches, counts as infinite: its square overflows,
# and no axis of a figure can hold it.
_LARGEST = 1e150
# Characters of a damaged line that a message shows.
_SHOWN = 60


class DamagedRecord(ValueError):
    """What is wrong with a line; its text goes on from "is damaged:"."""


def record_line(record):
    """The line of a record: JSON and a line break."""
    largest = _LARGEST if record["kind"] in KINDS else math.inf
    return json.dumps(to_json(record, largest), allow_nan=False) + "\n"


def parse_record(line):
    """The record in a line of bytes. Its non-finite numbers are still strings.

    Raises:
        DamagedRecord: If it is no JSON object with a step and a kind, or its fields are not those
            of its kind.
    """
    try:
        record = parse_json(line)
    except ValueError:
        record = None
    if not _is_record(record):
        shown = line[:_SHOWN].decode("utf-8", "replace")
        raise DamagedRecord(f"expected a JSON object with step and kind, got {shown!r}")
    kind = record["kind"]
    if kind in KINDS:
        for name, (accepts, valid) in _fields(kind).items():
            if name in record and not accepts(record[name]):
                shown = repr(record[name])[:_SHOWN]
                raise DamagedRecord(f"{name} of a {kind} record must be {valid}, got {shown}")
        _check_lengths(kind, record)
    return record


def parse_json(content):
    """JSON as Python values.

    Raises:
        ValueError: If it is not JSON, or has text that cannot be written again.
    """
    try:
        value = json.loads(content, parse_constant=_refuse)
        # Half of a surrogate pair is valid in JSON, but no text: UTF-8 does not have it.
        if b"\\u" in content:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _refuse(constant):
    raise ValueError(f"{constant} is no JSON number")


def _is_record(value):
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return False
    step = value.get("step")
    # Larger ones are not exact in a data frame.
    return type(step) is int and 0 <= step < 2**53


def _check_lengths(kind, record):
    whole = {field.name for field in KINDS[kind].fields if field.layout is Layout.RECORD}
    lengths = {
        name: len(value)
        for name, value in record.items()
        if isinstance(value, list) and name not in whole
    }
    if len(set(lengths.values())) > 1:
        raise DamagedRecord(f"lists of a {kind} record differ in length: {lengths}")


@functools.cache
def _fields(kind):
    """Name of a field -> a function that accepts its value, and what is valid in words."""
    known = KINDS[kind]
    fields = {name: _LABELS[name] for name in LABELS[known.layout]}
    for field in known.fields:
        depth = int(field.layout is not Layout.RECORD) + int(field.is_list)
        fields[field.name] = _BY_DEPTH[depth]
    return fields


def _is_number(value):
    return _are_numbers([value])


def _are_numbers(values):
    """Whether this is a list of numbers, up to the largest, and the strings for non-finite ones."""
    if not isinstance(values, list):
        return False
    types = set(map(type, values))
    if str in types:
        texts = {value for value in values if type(value) is str}
        if not texts <= NON_FINITE.keys():
            return False
        values = [value for value in values if type(value) is not str]
    return types <= {int, float, str} and max(map(abs, values), default=0) <= _LARGEST


def _are_step_sizes(values):
    return _are_numbers(values) and all(type(size) is not str and size > 0 for size in values)


def _are_lists_of_numbers(values):
    return isinstance(values, list) and all(map(_are_numbers, values))


def _are_texts(values):
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


# How deep the numbers of a field lie in lists -> what accepts it.
_BY_DEPTH = (
    (_is_number, "a number"),
    (_are_numbers, "a list of numbers"),
    (_are_lists_of_numbers, "a list of lists of numbers"),
)
_LABELS = {
    "layers": (_are_texts, "a list of texts"),
    "units": _BY_DEPTH[1],
    "step_sizes": (_are_step_sizes, "a list of numbers > 0"),
}
