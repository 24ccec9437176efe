"""Text and the arguments that it stands for."""

import pytest

from bnkit.further_arguments import canonical, parse


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        (" ", {}),
        ("depth=3", {"depth": 3}),
        ("a=1,b=2.5,c=None,d=True", {"a": 1, "b": 2.5, "c": None, "d": True}),
        ("mode=fast, path = a/b.npz ", {"mode": "fast", "path": "a/b.npz"}),
        ("sizes=(8, 16),names=['a', 'b,c']", {"sizes": (8, 16), "names": ["a", "b,c"]}),
        ("of={'a': [1, 2]},b=1", {"of": {"a": [1, 2]}, "b": 1}),
        ("text='a,b',rest=\"it's\"", {"text": "a,b", "rest": "it's"}),
        ("text='it\\'s, so'", {"text": "it's, so"}),
        ("empty=,equal=a=b", {"empty": "", "equal": "a=b"}),
        ("open=(", {"open": "("}),
        ("name=none", {"name": "none"}),
    ],
)
def test_values_are_literals_or_text(text, arguments):
    assert parse(text) == arguments
    assert parse(canonical(text)) == arguments
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth", "'depth' is not of the form key=value"),
        ("a=1,", "'' is not of the form"),
        ("=1", "is not of the form"),
        ("a b=1", "is not of the form"),
        ("class=1", "is not of the form"),
        ("a=1,a=2", "'a' is given already"),
        ("seed=1", "'seed' is given already"),
    ],
)
def test_what_is_not_of_the_form(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text, reserved=("seed",))


@pytest.mark.parametrize("value", ["{'a', 'b'}", "[{1}]", "{1: {2}}", "1e999", "[1e999]"])
def test_values_without_a_text_of_their_own(value):
    """The order of a set is another one in the next process; no literal is infinite."""
    with pytest.raises(ValueError, match="a value has no text of its own"):
        canonical(f"a={value}")


@pytest.mark.parametrize(
    "value", ["(" * 100_000, "9" * 10_000, "-" * 10_000 + "1", "\0", "0x" + "f" * 9000]
)
def test_odd_text_is_a_value_or_refused(value):
    try:
        assert list(parse(canonical(f"a={value}"))) == ["a"]
    except ValueError as error:
        assert "no text of its own" in str(error) or "limit" in str(error)


def test_equal_arguments_have_one_text():
    assert canonical("b = 0x10, a='x'") == canonical("a=x,b=16") == "a='x',b=16"
    assert canonical("a=1") != canonical("a=1.0") and canonical("a=1") != canonical("a='1'")
    assert canonical("") == ""
