import dataclasses

import pytest

from bnkit import kinds, settings
from bnkit.settings import Settings, SettingsError

INVALID = {
    "norm": ["", "b n", "module:", ":Class", 3],
    "lr": [0, -0.1, float("nan"), float("inf"), "0.1", True],
    "seed": [-1, 0.5, 2**31, True],
    "model": ["vgg12", "", "module:", ":function", ["vgg11"], 3],
    "model_args": ["depth=3", 3],
    "width": [0, -1, float("inf")],
    "activation": ["tanh"],
    "depth": [0, 11],
    "norm_last": ["true", True],
    "skip": ["true", True, False],
    "norm_place": ["post", "mid"],
    "samples": [0, 1000],
    "directions": [0, 1.5],
    "dataset": ["", " ", "gaussian"],
    "train_split": ["", " ", 1, ("train",)],
    "test_split": ["", " ", 1, ("test",)],
    "batch_size": [0, -128, 1.5],
    "steps": [0, 10.0],
    "optimizer": ["SGD", "madgrad"],
    "optimizer_args": ["beta_1", "learning_rate=1", 3],
    "schedule": ["linear", None],
    "warmup": [-1, 1.5, 501],
    "clip_norm": [0, -1, float("inf")],
    "augment": [("crop", "crop"), ("rotate",), "crop"],
    "label_smoothing": [1, -0.1],
    "probe_steps": [(2, 1), (-1,), (0.5,), 3],
    "image_size": [0, 1.5, "32"],
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
    "precision": ["float64"],
    "probe_precision": ["bfloat16"],
    "jit": [True],
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


@pytest.mark.parametrize("field", ["samples", "norm_last"])
def test_a_field_of_other_models_says_which_have_it(field):
    with pytest.raises(SettingsError, match=f"`{field}` must be chosen with model=dln only"):
        Settings(**{field: 3})
    with pytest.raises(SettingsError, match="`skip` must be chosen with model=resnet20, resnet32"):
        Settings(skip=False)


def test_any_list_of_different_probes_is_valid():
    assert Settings(probes=kinds.PROBES).probes == kinds.PROBES
    assert len(kinds.PROBES) >= 8


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
        "sync_norm": True, "precision": "bfloat16", "strategy": "cpu", "jit": "on",
        "probe_precision": "float32",
        "train_split": "train[:9%]", "test_split": "train[9%:]", "image_size": 20,
        "optimizer_args": "weight_decay=0.1", "schedule": "step", "warmup": 3, "clip_norm": 2.0,
        "augment": ("flip",), "label_smoothing": 0.1, "probe_steps": (1, 2),
    }  # fmt: skip
    of_linear = {"depth": 3, "norm_last": True, "samples": 2000, "directions": 2}
    fields = {field.name for field in dataclasses.fields(Settings)}
    of_residual, of_users = {"skip": False, "norm_place": "pre"}, {"model_args": "depth=3"}
    assert set(different) | set(of_linear) | set(of_residual) | set(of_users) == fields
    for chosen, changes in (
        ({"lr": 0.5}, different),
        ({"model": "dln"}, of_linear),
        ({"model": "resnet20"}, of_residual),
        ({"model": "my.module:network"}, of_users),
    ):
        ids = [Settings(**{**chosen, name: value}).run_id for name, value in changes.items()]
        assert len({Settings(**chosen).run_id, *ids}) == len(ids) + 1


ALL_PROBES = (
    "landscape", "ics", "activations", "random_landscape", "curvature", "gradient_noise",
    "weights", "batch_norm_identity",
)  # fmt: skip


@pytest.mark.parametrize(
    ("run_id", "chosen"),
    [
        (
            "bn-lr0.1-seed0-d995ce82",
            {"width": 0.05, "batch_size": 32, "steps": 160, "probe_every": 40, "eval_every": 80,
             "probes": ALL_PROBES},
        ),
        (
            "none-lr0.2-seed0-7d543f7d",
            {"norm": "none", "lr": 0.2, "width": 0.05, "batch_size": 32, "steps": 130,
             "probe_every": 20, "eval_every": 80, "probes": ("landscape",)},
        ),
        (
            "l1-lr1e-06-seed2-c10abcc3",
            {"model": "dln", "depth": 6, "samples": 100, "norm": "l1", "seed": 2, "steps": 300,
             "probe_every": 50, "eval_every": 100, "probes": ALL_PROBES},
        ),
    ],
)  # fmt: skip
def test_ids_stay_as_they_are_so_that_earlier_runs_are_found(run_id, chosen):
    """If this fails for a new field: it belongs into `LATER_FIELDS`."""
    assert Settings(**chosen).run_id == run_id


def test_an_id_is_the_name_of_a_file_however_long_the_norm_is():
    one, other = (Settings(norm=f"{'package.' * 60}module:{name}") for name in ("One", "Other"))
    assert len(one.run_id) < 255 and one.run_id != other.run_id
    assert one.run_id.startswith("package_package_") and "/" not in one.run_id


def test_a_later_field_enters_the_id_once_it_differs_from_how_earlier_runs_were_made(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Later(Settings):
        split: str = "train"
        crops: tuple[float, ...] = (0.5, 1.0)

    assert Later().run_id != Settings().run_id
    known = settings.LATER_FIELDS
    later = {"split": "train", "crops": (0.5, 1.0)}
    monkeypatch.setattr(settings, "LATER_FIELDS", {**known, **later})
    assert Later().run_id == Later(crops=[0.5, 1]).run_id == Settings().run_id
    ids = {Later(**chosen).run_id for chosen in ({"split": "test"}, {"crops": (0.5,)})}
    assert len(ids | {Settings().run_id}) == 3


def test_the_choices_of_the_deep_linear_network_follow_from_the_model():
    linear = Settings(model="dln")
    assert (linear.lr, linear.steps, linear.width, linear.depth) == (1e-6, 10_000, 10, 25)
    assert (linear.dataset, linear.samples, linear.batch_size) == ("gaussian", 1000, 1000)
    assert (linear.step_sizes[0], linear.step_sizes[-1]) == (1e-8, 3e-5)
    assert linear.activation == "linear" and not linear.norm_last
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


def test_the_choices_of_a_residual_network_follow_from_the_model():
    residual = Settings(model="resnet32")
    assert (residual.skip, residual.norm_place, residual.activation) == (True, "post", "relu")
    assert residual.step_sizes == Settings().step_sizes and residual.lr == 0.1
    for field, value in (("norm_place", "mid"), ("skip", "no"), ("depth", 20)):
        with pytest.raises(SettingsError, match=field):
            Settings(model="resnet32", **{field: value})


def test_a_model_of_the_users_own_is_told_by_its_name_and_its_arguments():
    own = Settings(model="my.module:network", model_args="size = 3,mode=fast")
    assert own.model_args == "mode='fast',size=3"
    assert own.run_id == Settings(model=own.model, model_args="mode='fast',size=3").run_id
    others = ({"model_args": "mode=fast"}, {"model": "my.module:other"}, {"model_args": None})
    ids = {dataclasses.replace(own, **change).run_id for change in others}
    assert len(ids | {own.run_id}) == 4
    assert Settings(model=own.model, model_args="") == Settings(model=own.model)
    assert (own.lr, own.dataset, own.width, own.activation) == (0.1, "glyphs", None, None)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"model_args": "depth"}, "must be key=value.*'depth' is not of the form key=value"),
        ({"model_args": "seed=3"}, "'seed' is given already"),
        ({"width": 0.5}, "`width` must be chosen with model=vgg11"),
        ({"probe_precision": "float32"}, "must be training with a model of your own"),
        ({"activation": "relu"}, "`activation` must be chosen with model=vgg11"),
    ],
)
def test_what_is_not_for_a_model_of_the_users_own(chosen, message):
    with pytest.raises(SettingsError, match=message):
        Settings(model="my.module:network", **chosen)


def test_one_value_has_one_form():
    assert Settings(lr=1).run_id == Settings(lr=1.0).run_id
    assert Settings(step_sizes=[1, 2]).run_id == Settings(step_sizes=(1.0, 2.0)).run_id


def test_lists_become_tuples_and_plain_values_come_out():
    chosen = Settings(step_sizes=[0.1, 0.2], probes=["ics"])
    assert chosen.step_sizes == (0.1, 0.2)
    assert chosen.to_dict()["probes"] == ["ics"]
    assert Settings(**chosen.to_dict()) == chosen
