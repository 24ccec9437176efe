"""What is refused for want of memory, against sizes worked out by hand."""

import os

import pytest

from bnkit import memory
from bnkit.settings import Settings, SettingsError


@pytest.fixture
def machine(monkeypatch):
    """`machine(bytes)` gives this machine another memory."""
    return lambda count: monkeypatch.setattr(memory, "installed_bytes", lambda: count)


# What a run needs by the setting to blame.
NEEDS = [
    # Three convolutions of 3x3 from 128 to 128 channels: weights and gradients of 4 bytes.
    ({"width": 0.25, "batch_size": 1}, "width", 3 * 3 * 3 * 128 * 128 * 2 * 4),
    ({"model": "vgg16", "width": 1, "batch_size": 1}, "width", 3 * 3 * 3 * 512 * 512 * 2 * 4),
    # The outputs of these at one position, for every sample.
    ({"width": 0.25, "batch_size": 10**6}, "batch_size", 3 * 128 * 10**6 * 4),
    # Three convolutions of 3x3 from 32 to 32 channels; at least four of their inputs.
    ({"model": "resnet20", "width": 0.5, "batch_size": 1}, "width", 3 * 3 * 3 * 32 * 32 * 2 * 4),
    ({"model": "resnet20", "width": 0.5, "batch_size": 10**6}, "batch_size", 4 * 32 * 10**6 * 4),
    # Four blocks of 4 + 4 + 4 matrices of 32x32, the last eight in two of them; their inputs.
    ({"model": "vit_tiny", "width": 0.5, "batch_size": 1}, "width", 4 * 12 * 32 * 32 * 2 * 4),
    (
        {"model": "vit_tiny", "width": 0.5, "batch_size": 10**6},
        "batch_size",
        4 * 6 * 32 * 10**6 * 4,
    ),
    # Three matrices between hidden layers of 128 units; four layers of them.
    ({"model": "mlp", "width": 0.25, "batch_size": 1}, "width", 3 * 128 * 128 * 2 * 4),
    ({"model": "mlp", "width": 0.25, "batch_size": 10**6}, "batch_size", 4 * 128 * 10**6 * 4),
    (
        {"model": "mlp", "width": 0.25, "depth": 10**6, "batch_size": 1},
        "depth",
        (10**6 - 2) * 128 * 128 * 2 * 4,
    ),
    # x and y of training and test samples, and the inputs of 25 layers, all 10 wide.
    ({"model": "dln", "samples": 10**6}, "samples", (4 + 25) * 10 * 10**6 * 4),
    ({"model": "dln", "samples": 10**6, "batch_size": 10**5}, "samples", 4 * 10 * 10**6 * 4),
    (
        {"model": "dln", "samples": 10**6, "batch_size": 10**6 - 1},
        "batch_size",
        25 * 10 * (10**6 - 1) * 4,
    ),
    # 25 square matrices with their gradients.
    ({"model": "dln", "width": 10**5}, "width", 25 * 10**10 * 2 * 4),
    ({"model": "dln", "depth": 10**7, "samples": 1}, "depth", 10**7 * 100 * 2 * 4),
]


@pytest.mark.parametrize(("choices", "name", "need"), NEEDS)
def test_what_is_needed_is_compared_with_what_there_is(choices, name, need, machine):
    settings = Settings(**choices)
    machine(need)
    memory.check(settings)
    machine(need - 1)
    with pytest.raises(SettingsError, match=r"smaller: it takes at least .* GB") as caught:
        memory.check(settings)
    assert (caught.value.field, caught.value.value) == (name, getattr(settings, name))
    machine(None)
    memory.check(settings)


def test_the_sizes_are_in_the_message(machine):
    machine(64 * 10**9)
    with pytest.raises(SettingsError) as caught:
        memory.check(Settings(model="dln", samples=10**12))
    assert caught.value.valid == (
        "smaller: it takes at least 1.16e+06 GB of memory, and this machine has 64 GB"
    )


def test_every_study_of_the_paper_fits_into_eight_gigabytes(machine):
    machine(8 * 10**9)
    for choices in ({"model": "vgg16", "width": 1, "batch_size": 1024}, {"model": "dln"}):
        memory.check(Settings(**choices))


def test_the_largest_number_is_refused_as_any_other(machine):
    machine(10**18)
    for model in ("vgg11", "dln"):
        with pytest.raises(SettingsError, match="width"):
            memory.check(Settings(model=model, width=3.4e38))


def test_this_machine_has_memory(monkeypatch):
    assert memory.installed_bytes() > 10**8
    monkeypatch.delattr(os, "sysconf")
    assert memory.installed_bytes() is None


def test_out_of_memory_is_told_from_a_full_disk():
    import tensorflow as tf

    def error(message):
        return tf.errors.ResourceExhaustedError(None, None, message)

    assert memory.is_exhausted(MemoryError())
    assert memory.is_exhausted(error("OOM when allocating tensor with shape[1000,1000]"))
    assert not memory.is_exhausted(error("/tmp/x.data; No space left on device"))
    assert not memory.is_exhausted(ValueError("of memory"))
    wrapped = ValueError("in a layer")
    wrapped.__cause__ = MemoryError()
    assert memory.is_exhausted(wrapped)
