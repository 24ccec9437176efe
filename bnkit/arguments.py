"""A command line before its flags are read: flag files replaced by what they hold, text checked.

`--flagfile=PATH` stands for the flags that the file holds, and `--flagfile=NAME` for those of a
flag file that comes with bnkit.
"""

import os
import pathlib

# Bytes of all flag files of a command line together. No study needs more, and a file may be endless
# or include others many times over.
_LARGEST = 2**20
_FLAG_FILE = ("--flagfile", "-flagfile")
# Flag files that name one another in a chain.
_DEEPEST = 10
# Characters of the name of a flag. absl would look for names similar to a longer one without end.
_LONGEST_NAME = 100


# The flag files that come with bnkit: inside the package where it is installed from a wheel, beside
# it in a checkout.
_PACKAGE = pathlib.Path(__file__).parent
_HOMES = (_PACKAGE / "flags", _PACKAGE.parent / "flags")


class ArgumentError(ValueError):
    """An argument that cannot be used; the message shows it."""


def flag_files():
    """The flag files that come with bnkit: name -> `pathlib.Path`, sorted by name."""
    home = next((home for home in _HOMES if home.is_dir()), _HOMES[0])
    return {path.stem: path for path in sorted(home.glob("*.flags"))}


def expand(arguments):
    """The arguments with the flags of every flag file in its place.

    A flag file has a flag in each line; empty lines and those that begin with # or // do not count.
    It may name others. After the argument `--` nothing is a flag. A name of `flag_files` stands for
    that file, unless there is a file at the path of that name.

    Raises:
        ArgumentError: For a flag file that cannot be read, is no text, is too large or includes
            itself; for an argument that is no text.
    """
    return _Expansion().expand(arguments)


def _check_text(argument):
    """Checks what would go wrong only once a path is opened or something is printed."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"argument {argument!r}: must be text (UTF-8)") from None
    if "\0" in argument:
        raise ArgumentError(f"argument {argument!r}: must be text without zero bytes")
    name = argument.partition("=")[0]
    if name.startswith("-") and len(name) > _LONGEST_NAME:
        raise ArgumentError(f"Unknown command line flag {name[:_LONGEST_NAME]!r}…")


def _found(path):
    """The path of a flag file that is given by its path or by its name."""
    if not os.path.isfile(path) and path in (named := flag_files()):
        return str(named[path])
    return os.path.expanduser(path)


class _Expansion:
    """One command line's flag files: the bytes read so far, and the files that are open."""

    def __init__(self):
        self._read = 0
        self._open = []

    def expand(self, arguments):
        expanded = []
        arguments = iter(arguments)
        for argument in arguments:
            _check_text(argument)
            if argument == "--":
                return [*expanded, argument, *arguments]
            name, equals, path = argument.partition("=")
            if name not in _FLAG_FILE:
                expanded.append(argument)
                continue
            if not equals:
                path = next(arguments, None)
                if path is None:
                    raise ArgumentError("flag --flagfile: must be the path of a file")
            if path:
                expanded += self._flags(_found(path))
        return expanded

    def _flags(self, path):
        """The flags in the file, and in those that it names."""
        real = os.path.realpath(path)
        if real in self._open:
            raise ArgumentError(f"flag --flagfile={path}: the file includes itself")
        if len(self._open) == _DEEPEST:
            raise ArgumentError(f"flag --flagfile={path}: is the {_DEEPEST + 1}th file of a chain")
        lines = [line.strip() for line in self._text(path).splitlines()]
        self._open.append(real)
        flags = self.expand([line for line in lines if line and not line.startswith(("#", "//"))])
        self._open.pop()
        return flags

    def _text(self, path):
        # Anything else might block, or never end.
        if os.path.exists(path) and not os.path.isfile(path):
            raise ArgumentError(f"flag --flagfile={path}: must be a file")
        try:
            with open(path, "rb") as file:
                content = file.read(_LARGEST + 1 - self._read)
        except FileNotFoundError as error:
            raise ArgumentError(
                f"flag --flagfile={path}: cannot be read: {error.strerror}; "
                f"the flag files of bnkit are {', '.join(flag_files())}"
            ) from error
        except OSError as error:
            raise ArgumentError(f"flag --flagfile={path}: cannot be read: {error}") from error
        self._read += len(content)
        if self._read > _LARGEST:
            raise ArgumentError(f"flag --flagfile={path}: must be at most 1 MB, with all it names")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ArgumentError(f"flag --flagfile={path}: must be text (UTF-8)") from None
