"""What the settings cannot know by themselves, found out before anything is made on disk."""

import dataclasses

import numpy as np
import pytest

from bnkit import Settings, memory, preflight
from bnkit.settings import SettingsError


@pytest.fixture
def vectors(tmp_path):
    """Path of 40 training and 8 test vectors."""
    x, y = np.zeros((40, 5), np.float32), np.arange(40) % 4
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
    return str(tmp_path / "data.npz")


def test_what_fits_is_left_as_it_is(vectors):
    grid = [
        Settings(model="mlp", dataset=vectors, batch_size=40),
        Settings(),
        Settings(model="dln"),
    ]
    assert preflight.check(grid) == grid


@pytest.mark.parametrize(("batch_size", "steps"), [(40, 3), (15, 6), (8, 15)])
def test_epochs_are_steps_through_whole_batches(vectors, batch_size, steps):
    settings = Settings(model="mlp", dataset=vectors, batch_size=batch_size)
    (found,) = preflight.check([settings], epochs=3)
    assert found == dataclasses.replace(settings, steps=steps)
    linear = Settings(model="dln", samples=20)
    assert preflight.check([linear, Settings()], epochs=2) == [
        dataclasses.replace(linear, steps=2),
        Settings(steps=2 * (20_000 // 128)),
    ]


@pytest.mark.parametrize(
    ("changes", "field", "valid"),
    [
        ({"batch_size": 41}, "batch_size", "at most the number of training samples, 40"),
        ({"model": "vgg11"}, "model", "takes vectors, such as mlp: .* vectors of 5 features"),
        ({"augment": ("flip",)}, "augment", "empty: .* vectors of 5 features"),
    ],
)
def test_what_does_not_fit_the_data_is_named(vectors, changes, field, valid):
    settings = Settings(**{"model": "mlp", "dataset": vectors, "batch_size": 8, **changes})
    with pytest.raises(SettingsError, match=valid) as caught:
        preflight.check([Settings(), settings])
    assert caught.value.field == field


def test_a_batch_of_the_data_has_to_fit_into_memory(vectors, monkeypatch):
    settings = Settings(model="mlp", width=0.002, dataset=vectors, batch_size=40)
    # 40 vectors of 5 features, of one byte at least, and as float32.
    need = 40 * 5 * (1 + 4)
    monkeypatch.setattr(memory, "installed_bytes", lambda: need)
    preflight.check([settings])
    monkeypatch.setattr(memory, "installed_bytes", lambda: need - 1)
    with pytest.raises(SettingsError, match="at least 1e-06 GB of memory") as caught:
        preflight.check([settings])
    assert caught.value.field == "batch_size"


def test_arguments_that_an_optimizer_does_not_take_are_named():
    with pytest.raises(ValueError, match=r"arguments of Keras's adam: .*nothing"):
        preflight.check([Settings(optimizer="adam", optimizer_args="nothing=1")])


def test_a_batch_that_gpus_cannot_share_is_refused(monkeypatch):
    grid = [Settings(), Settings(batch_size=100)]
    monkeypatch.setattr(preflight, "_gpu_count", lambda: 3)
    assert preflight.check([dataclasses.replace(s, strategy="cpu") for s in grid])
    with pytest.raises(SettingsError, match=r"multiple of the 3 replicas.*batch_size=128"):
        preflight.check(grid)
    monkeypatch.setattr(preflight, "_gpu_count", lambda: 0)
    assert preflight.check(grid) == grid
