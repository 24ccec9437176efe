import dataclasses
import pathlib

import pytest

import bnkit
from bnkit import families
from bnkit.settings import Settings

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


@pytest.fixture(params=[*families.MODELS, "my.module:network"])
def entry(request):
    return families.get(request.param)


def test_the_models_of_the_study():
    vggs = [families.get(f"vgg{depth}").variant for depth in (11, 13, 16, 19)]
    assert vggs == [{"depth": depth} for depth in (11, 13, 16, 19)]
    residual = [families.get(f"resnet{depth}").variant for depth in (20, 32, 56)]
    assert residual == [{"depth": depth} for depth in (20, 32, 56)]
    assert families.get("dln").variant == {}
    with pytest.raises(KeyError, match="resnet21"):
        families.get("resnet21")


def test_a_path_is_a_model_of_the_users_own():
    assert families.is_users("my.module:network") and families.is_known("my.module:network")
    for name in (
        "my.module",
        "my.module:",
        ":network",
        "my module:network",
        "",
        None,
        3,
        ["vgg11"],
    ):
        assert not families.is_users(name)
    assert families.is_known("dln") and not families.is_known("vgg12")
    assert not families.is_known(["vgg11"])
    assert families.models_with("model_args") == (families.PATH,)


def test_a_family_has_its_file(entry):
    path = pathlib.Path(bnkit.__file__).parent / "models" / f"{entry.family}.py"
    assert "def from_settings(settings, norm, dataset" in path.read_text()


def test_defaults_and_rules_are_about_settings(entry):
    assert set(entry.defaults) | set(entry.rules) <= set(FIELDS)
    assert all(FIELDS[name].default is None for name in entry.defaults)


def test_defaults_are_valid(entry):
    for name in entry.defaults.keys() & entry.rules.keys():
        assert entry.rules[name].accepts(entry.defaults[name]), name


def test_every_field_without_a_default_of_its_own_has_one_for_the_model(entry):
    """All but the batch size, which may follow from the samples, what others only have, and what
    may be left open."""
    needed = {name for name, field in FIELDS.items() if field.default is None}
    lacking = needed - set(entry.defaults)
    foreign = set(families.DEPENDENT) - set(entry.rules)
    open_to_all = {"train_split", "test_split", "model_args", "image_size"}
    open_to_all |= {"optimizer_args", "clip_norm"}
    assert lacking <= foreign | open_to_all | (
        {"batch_size"} if "samples" in entry.defaults else set()
    )


def test_a_field_that_only_some_models_have_is_off_elsewhere():
    """None, False or nothing: what `Settings` holds against a model without it."""
    for name in families.DEPENDENT:
        if len(families.models_with(name)) < len(families.MODELS):
            assert FIELDS[name].default in (None, False, (), 0.0)


def test_models_with_a_setting_are_named():
    assert families.models_with("width") == tuple(families.MODELS)
    assert families.models_with("depth") == ("mlp", "dln")
    assert families.models_with("skip") == ("resnet20", "resnet32", "resnet56")
    assert families.models_with("lr") == ()
    expected = {"width", "activation", "dataset", "depth", "norm_last", "samples"}
    expected |= {"train_split", "test_split", "skip", "norm_place", "model_args", "image_size"}
    expected |= {"augment", "label_smoothing"}
    assert set(families.DEPENDENT) == expected
