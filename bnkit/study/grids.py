"""Lists of choices -> the settings of every run of a study."""

import itertools

from bnkit.settings import Settings, SettingsError

# The settings that may be lists, the slowest to change first: all arms of a seed come before the
# next seed, so that an interrupted study can already be compared.
AXES = ("seed", "model", "width", "batch_size", "norm", "lr")


def grid(**choices):
    """The settings of every combination of what is listed.

    Defaults that depend on the model are those of each listed model.

    >>> [settings.norm for settings in grid(norm=["none", "bn"], seed=[0, 1], steps=100)]
    ['none', 'bn', 'none', 'bn']

    Args:
        **choices: Fields of `bnkit.Settings`; those in `AXES` may be lists or tuples of values.

    Returns:
        A list of `Settings`, no two of them equal.

    Raises:
        SettingsError: For a value that is not valid, and for a list that is empty or has a value
            twice.
    """
    listed = {name: choices[name] for name in AXES if isinstance(choices.get(name), (list, tuple))}
    for name, values in listed.items():
        if not values or len(set(values)) < len(values):
            raise SettingsError(name, tuple(values), "a list of different values")
    return [
        Settings(**{**choices, **dict(zip(listed, values, strict=True))})
        for values in itertools.product(*listed.values())
    ]
