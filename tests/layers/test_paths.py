"""Layers from the user's own code, by their import path."""

import pytest

from bnkit import layers


@pytest.mark.parametrize(
    "path, message",
    [
        (
            "users_package.norm:Halve",
            r"cannot be imported: ModuleNotFoundError: .*users_package\.norm'",
        ),
        ("no_such_package:Halve", r"ModuleNotFoundError: No module named 'no_such_package'"),
        ("users_package.norms:Half", r"AttributeError: .*'Half'"),
        ("users_package.norms:", r"cannot be imported: AttributeError"),
        (":Halve", r"cannot be imported: ValueError: Empty module name"),
        ("users_package.broken:Halve", r"RuntimeError: boom at import"),
        ("users_package.lacking:Halve", r"No module named 'a_module_that_is_not_there'"),
        ("users_package.norms:NoLayer", r"must lead to a Keras layer class.*a type$"),
        ("users_package.norms:constant", r"must lead to a Keras layer class.*an? int$"),
    ],
)
def test_a_path_that_does_not_lead_to_a_layer(path, message):
    """The error says what was found, and repeats the path."""
    with pytest.raises(ValueError, match=message) as caught:
        layers.get(path)
    assert f"norm={path!r}" in str(caught.value)
