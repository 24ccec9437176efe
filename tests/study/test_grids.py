"""Lists of choices become the settings of every run."""

import pytest

from bnkit import study
from bnkit.settings import Settings, SettingsError


def test_every_combination_is_one_run_all_arms_of_a_seed_first():
    grid = study.grid(norm=["none", "bn"], lr=(0.1, 0.5), seed=[0, 1], steps=7)
    assert [(s.seed, s.norm, s.lr) for s in grid] == [
        (seed, norm, lr) for seed in (0, 1) for norm in ("none", "bn") for lr in (0.1, 0.5)
    ]
    assert {s.steps for s in grid} == {7} and len({s.run_id for s in grid}) == 8


def test_a_value_that_is_no_list_is_not_varied():
    assert study.grid(norm="bn", lr=0.5) == [Settings(norm="bn", lr=0.5)]
    assert study.grid(probes=["ics"], step_sizes=[0.1, 0.2]) == [
        Settings(probes=("ics",), step_sizes=(0.1, 0.2))
    ]


def test_what_is_not_chosen_follows_from_each_model():
    vgg, linear = study.grid(model=["vgg11", "dln"], lr=None)
    assert (vgg, linear) == (Settings(), Settings(model="dln"))
    assert (vgg.lr, linear.lr, vgg.batch_size, linear.batch_size) == (0.1, 1e-6, 128, 1000)


@pytest.mark.parametrize(
    ("choices", "field", "value"),
    [
        ({"lr": [0.1, -1]}, "lr", -1),
        ({"norm": ["bn", "b n"]}, "norm", "b n"),
        ({"seed": [0, 1, 0]}, "seed", (0, 1, 0)),
        ({"width": [1, 1.0]}, "width", (1, 1.0)),
        ({"lr": []}, "lr", ()),
        ({"model": ["dln", "vgg11"], "samples": 20}, "samples", 20),
    ],
)
def test_a_wrong_entry_of_a_list_is_named(choices, field, value):
    with pytest.raises(SettingsError) as caught:
        study.grid(**choices)
    assert (caught.value.field, caught.value.value) == (field, value)
