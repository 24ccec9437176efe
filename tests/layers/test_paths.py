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
        ("users_package.leaving:Halve", r"cannot be imported: SystemExit: goodbye"),
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


@pytest.mark.parametrize("name", ["bn", "none", "users_package.norms:Halve"])
@pytest.mark.parametrize("more", ["users_package.norms:halve", "users_package.norms:Scaled"])
def test_what_makes_layers_passes(name, more):
    layers.check(name)
    layers.check(more)


@pytest.mark.parametrize(
    "path, message",
    [
        ("users_package.norms:Half", r"cannot be imported: AttributeError"),
        ("users_package.norms:nothing", r"must return a Keras layer.*returned a NoneType$"),
        ("users_package.norms:Picky", r"cannot make a layer: TypeError: .*units"),
        ("users_package.norms:leaving", r"cannot make a layer: SystemExit: 3"),
        ("users_package.norms:nameless", r"function that takes `name=`.*argument is not `name`$"),
        # Not called: none of them says that it makes layers.
        ("os:system", r"function that takes `name=`"),
        ("os:abort", r"function that takes `name=`"),
        ("os:remove", r"function that takes `name=`"),
        ("shutil:rmtree", r"function that takes `name=`"),
        ("sys:exit", r"function that takes `name=`"),
        ("math:hypot", r"function that takes `name=`"),
        ("numpy:exp", r"function that takes `name=`"),
        ("builtins:dict", r"must lead to a Keras layer class.*a type$"),
        ("logging:getLogger", r"must return a Keras layer.*returned a Logger$"),
    ],
)
def test_what_makes_no_layer_is_refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        layers.check(path)
    assert f"norm={path!r}" in str(caught.value)
