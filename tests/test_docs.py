"""What the documents promise is there."""

import pathlib
import re

import pytest

import bnkit

ROOT = pathlib.Path(bnkit.__file__).parents[1]
PROMISES = (ROOT / "docs" / "what_can_happen.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PROMISES)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)), ids=lambda part: part)
def test_a_test_that_is_named_exists(path, name):
    assert f"\ndef {name}(" in (ROOT / path).read_text()


def test_every_row_of_what_can_happen_names_its_test():
    rows = [line for line in PROMISES.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.endswith("| Test |")]
    assert len(rows) > 40
    assert [row for row in rows if not re.search(r"`tests/\S+::\w+` \|$", row)] == []
