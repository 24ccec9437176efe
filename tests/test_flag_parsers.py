import dataclasses

import pytest

from bnkit import study
from bnkit.flag_parsers import LIST_PARSERS, PARSERS
from bnkit.settings import Settings


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, " a b ", " a b "),
        (int, " 3 ", 3),
        (float, "1e-3", 0.001),
        (bool, "TRUE", True),
        (bool, "0", False),
        (tuple[str, ...], " a , ,b,", ("a", "b")),
        (tuple[str, ...], "", ()),
        (tuple[float, ...], "1, 2.5", (1.0, 2.5)),
    ],
)
def test_text_is_read_as_its_type(kind, text, value):
    read = PARSERS[kind].parse(text)
    assert read == value and type(read) is type(value)
    # What has been read already, such as a default, is left alone.
    assert PARSERS[kind].parse(value) == value


@pytest.mark.parametrize(
    ("kind", "text", "valid"),
    [
        (int, "3.0", "a whole number"),
        (int, "9" * 5000, "a whole number"),
        (float, "fast", "a number"),
        (bool, "yes", "true or false"),
        (tuple[float, ...], "1,a", "a comma-separated list of numbers"),
    ],
)
def test_what_cannot_be_read_says_what_is_valid(kind, text, valid):
    with pytest.raises(ValueError, match=f"^must be {valid}$"):
        PARSERS[kind].parse(text)


def test_a_list_keeps_every_entry():
    assert LIST_PARSERS[int].parse("3, 1") == (3, 1)
    assert LIST_PARSERS[str].parse("bn,,none") == ("bn", "", "none")
    for text in ("", "1,", "1,a"):
        with pytest.raises(ValueError, match=r"^must be a number, or several with commas"):
            LIST_PARSERS[float].parse(text)


def test_every_setting_has_a_parser():
    for field in dataclasses.fields(Settings):
        assert field.type in (LIST_PARSERS if field.name in study.AXES else PARSERS), field.name
