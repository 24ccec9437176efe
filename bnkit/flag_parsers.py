"""Text of a flag -> its value, for every type that a flag has."""

from absl import flags

from bnkit.rules import AUTO


class Parser(flags.ArgumentParser):
    """Text -> value, with one message for whatever cannot be read."""

    def __init__(self, convert, valid):
        self._convert, self._valid = convert, valid

    def parse(self, argument):
        try:
            return self._convert(argument) if isinstance(argument, str) else argument
        except ValueError:
            raise ValueError(f"must be {self._valid}") from None

    def flag_type(self):
        return self._valid


def _split(text):
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _truth(text):
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError from None


_ONE = {str: (str, "text"), int: (int, "a whole number"), float: (float, "a number")}
PARSERS = {
    **{kind: Parser(*one) for kind, one in _ONE.items()},
    bool: Parser(_truth, "true or false"),
    tuple[str, ...]: Parser(_split, "a comma-separated list of names"),
    tuple[float, ...]: Parser(
        lambda text: tuple(map(float, _split(text))), "a comma-separated list of numbers"
    ),
    tuple[int, ...]: Parser(
        lambda text: tuple(map(int, _split(text))), "a comma-separated list of whole numbers"
    ),
}


def _rates(text):
    return (AUTO,) if text.strip() == AUTO else tuple(float(part) for part in text.split(","))


# Of the flags that make a grid.
LIST_PARSERS = {
    kind: Parser(
        lambda text, convert=convert: tuple(convert(part.strip()) for part in text.split(",")),
        f"{valid}, or several with commas between them",
    )
    for kind, (convert, valid) in _ONE.items()
}
RATES = Parser(_rates, f"a number, several with commas between them, or {AUTO} alone")
