"""Arguments that go to code beyond bnkit's own: text such as `depth=3,mode=fast` -> values."""

import ast
import keyword

VALID = "key=value,... with Python literals or text as values"

_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "'\""
# What `ast.literal_eval` raises for text that is no literal, however odd or deeply nested it is.
_NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


def parse(text, reserved=()):
    """The arguments that the text stands for.

    Values are Python literals, or else taken as they stand. A comma within brackets or quotes
    belongs to the value.

    Args:
        text: `key=value,...`.
        reserved: Keys that are given a value anyway.

    >>> parse("depth=3,sizes=(8, 16),mode=fast")
    {'depth': 3, 'sizes': (8, 16), 'mode': 'fast'}

    Raises:
        ValueError: For what does not have the form `key=value,...`, for a key twice, and for one
            that is reserved.
    """
    arguments = {}
    for part in _split(text):
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier() or keyword.iskeyword(key):
            raise ValueError(f"{part!r} is not of the form key=value")
        if key in arguments or key in reserved:
            raise ValueError(f"{key!r} is given already")
        arguments[key] = _value(value.strip())
    return arguments


def canonical(text, reserved=()):
    """The one text for all that stand for equal arguments.

    >>> canonical("mode = fast, depth=3")
    "depth=3,mode='fast'"

    Raises:
        ValueError: As `parse`; for a value that no text stands for, such as an infinite number.
    """
    arguments = parse(text, reserved)
    one = ",".join(f"{key}={arguments[key]!r}" for key in sorted(arguments))
    # The order of a set changes from one process to the next, and inf is no literal.
    if _has_sets(arguments) or parse(one) != arguments:
        raise ValueError("a value has no text of its own")
    return one


def _split(text):
    """The parts between the commas that are neither in brackets nor in quotes."""
    parts, start, depth, quote = [], 0, 0, None
    for position, character in enumerate(text):
        if quote:
            if character == quote and text[position - 1] != "\\":
                quote = None
        elif character in _QUOTES:
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]] if text.strip() else []


def _value(text):
    try:
        return ast.literal_eval(text)
    except _NO_LITERAL:
        return text


def _has_sets(value):
    if isinstance(value, dict):
        return _has_sets([*value.keys(), *value.values()])
    if isinstance(value, (list, tuple)):
        return any(map(_has_sets, value))
    return isinstance(value, (set, frozenset))
