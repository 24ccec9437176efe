"""Training as people do it: the definitions hold under each option."""

import math

import numpy as np
import pytest
from tiny_run import records, run, steps


def of_kind(directory, kind):
    return {r["step"]: r for r in records(directory) if r["kind"] == kind}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return run(
        tmp_path_factory.mktemp("options"),
        augment=("crop", "flip"),
        label_smoothing=0.2,
        schedule="cosine",
        warmup=2,
        clip_norm=0.5,
        optimizer="sgd",
        optimizer_args="nesterov=True",
        momentum=0.5,
        probes=("landscape", "ics", "weights"),
        probe_steps=(1, 2, 5),
    )


def test_probes_are_taken_at_further_steps(directory):
    for kind in ("landscape", "ics", "weights"):
        assert steps(directory, kind) == [0, 1, 2, 4, 5]


def test_the_landscape_is_of_the_batch_and_the_loss_that_are_trained(directory):
    """Its loss at s = 0 is that of the step: the same augmented images and smoothed labels."""
    trained, measured = of_kind(directory, "train"), of_kind(directory, "landscape")
    for step, record in measured.items():
        assert record["loss"] == pytest.approx(trained[step]["loss"], rel=1e-5)


def test_the_rate_of_a_step_is_that_of_its_schedule(directory):
    """`weights` records `effective_lr`, the rate divided by the squared norm of a layer."""
    cosine = [0.05 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(4)]
    expected = [0.05 / 3, 0.05 * 2 / 3, *cosine]
    for step, record in of_kind(directory, "weights").items():
        rates = np.multiply(record["effective_lr"], np.square(record["weight_norm"]))
        np.testing.assert_allclose(rates, expected[step], rtol=1e-4, atol=1e-9)


def test_half_precision_trains_and_measures_with_a_scaled_loss(tmp_path):
    options = {"probes": ("landscape",), "steps": 5, "norm": "none", "width": 0.1}
    half = run(tmp_path, precision="float16", **options)
    full = run(tmp_path, **options)
    for kind in ("train", "landscape"):
        ours, theirs = of_kind(half, kind), of_kind(full, kind)
        assert ours.keys() == theirs.keys()
        assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=0.01)
        assert all(math.isfinite(record["loss"]) for record in ours.values())
    # The first update was made, and not left out as one that overflows is.
    assert ours[4]["loss"] != ours[0]["loss"]
    ours, theirs = (of_kind(one, "landscape")[0]["gradient_norm"] for one in (half, full))
    assert ours == pytest.approx(theirs, rel=0.02)
