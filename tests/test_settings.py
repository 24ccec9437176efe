import dataclasses

import pytest

from bnkit.settings import Settings, SettingsError

INVALID = {
    "norm": ["", "b n", "module:", ":Class", 3],
    "lr": [0, -0.1, float("nan"), float("inf"), "0.1", True],
    "seed": [-1, 0.5, 2**31, True],
    "model": ["vgg12", ""],
    "width": [0, -1, float("inf")],
    "activation": ["tanh"],
    "depth": [0, 11],
    "norm_last": ["true", True],
    "samples": [0, 1000],
    "directions": [0, 1.5],
    "dataset": ["", " ", "gaussian"],
    "batch_size": [0, -128, 1.5],
    "steps": [0, 10.0],
    "optimizer": ["SGD", "rmsprop"],
    "momentum": [-0.1, 1, float("nan")],
    "weight_decay": [-1e-4, float("inf")],
    "probes": [("landscape", "landscape"), ("nothing",), "ics", (["ics"],)],
    "probe_every": [0, 2.5],
    "step_sizes": [
        0.1,
        ("a",),
        (),
        (0.1, 0.05),
        (0.1, 0.1),
        (0.0, 0.1),
        (-0.1,),
        (float("inf"),),
    ],
    "eval_every": [0],
    "sync_norm": ["true", 1],
    "precision": ["float16"],
    "strategy": ["mirrored"],
}


def test_every_field_has_an_invalid_example():
    assert set(INVALID) == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, vs in INVALID.items() for v in vs])
def test_an_invalid_value_is_named(field, value):
    with pytest.raises(SettingsError) as caught:
        Settings(**{field: value})
    assert caught.value.field == field
    assert f"{field}=" in str(caught.value) and "must be" in str(caught.value)


def test_momentum_is_for_sgd():
    assert Settings(momentum=0.9).momentum == 0.9
    with pytest.raises(SettingsError, match=r"momentum=0\.9"):
        Settings(momentum=0.9, optimizer="adam")


def test_a_custom_layer_is_a_norm():
    assert Settings(norm="my.module:Layer").run_id.startswith("my_module_Layer-lr0.1-seed0-")


def test_equal_settings_have_one_id_and_any_difference_another():
    base = Settings(norm="bn", lr=0.5)
    assert base.run_id == Settings(norm="bn", lr=0.5).run_id
    assert base.run_id.startswith("bn-lr0.5-seed0-")
    different = {
        "norm": "none", "lr": 0.25, "seed": 1, "model": "vgg16", "width": 0.5, "dataset": "mnist",
        "batch_size": 64, "steps": 10, "optimizer": "adam", "momentum": 0.9, "weight_decay": 1e-4,
        "activation": "elu", "probes": (), "probe_every": 5, "step_sizes": (0.1,), "eval_every": 5,
        "sync_norm": True, "precision": "bfloat16", "strategy": "cpu",
    }  # fmt: skip
    of_linear = {"depth": 3, "norm_last": True, "samples": 2000, "directions": 2}
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert set(different) | set(of_linear) == fields
    for chosen, changes in (({"lr": 0.5}, different), ({"model": "dln"}, of_linear)):
        ids = [Settings(**{**chosen, name: value}).run_id for name, value in changes.items()]
        assert len({Settings(**chosen).run_id, *ids}) == len(ids) + 1


def test_the_choices_of_the_deep_linear_network_follow_from_the_model():
    settings = Settings(model="dln")
    assert (settings.lr, settings.steps, settings.width, settings.depth) == (1e-6, 10_000, 10, 25)
    assert (settings.dataset, settings.samples, settings.batch_size) == ("gaussian", 1000, 1000)
    assert (settings.step_sizes[0], settings.step_sizes[-1]) == (1e-8, 3e-5)
    assert settings.activation == "linear" and not settings.norm_last
    assert Settings(model="dln", samples=64).batch_size == 64
    assert Settings(model="dln", samples=64, batch_size=16).batch_size == 16
    assert (Settings().depth, Settings().samples, Settings().lr) == (None, None, 0.1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 2.5),
        ("depth", 0),
        ("dataset", "glyphs"),
        ("activation", "relu"),
        ("samples", 0),
        ("batch_size", 1001),
    ],
)
def test_what_the_deep_linear_network_cannot_be(field, value):
    with pytest.raises(SettingsError, match=field) as caught:
        Settings(model="dln", **{field: value})
    assert caught.value.field == field


def test_one_value_has_one_form():
    assert Settings(lr=1).run_id == Settings(lr=1.0).run_id
    assert Settings(step_sizes=[1, 2]).run_id == Settings(step_sizes=(1.0, 2.0)).run_id


def test_lists_become_tuples_and_plain_values_come_out():
    settings = Settings(step_sizes=[0.1, 0.2], probes=["ics"])
    assert settings.step_sizes == (0.1, 0.2)
    assert settings.to_dict()["probes"] == ["ics"]
    assert Settings(**settings.to_dict()) == settings
