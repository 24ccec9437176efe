"""Training as people do it: the definitions hold under each option."""

import math

import numpy as np
import pytest
from tiny_run import records, run, steps

import bnkit


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


@pytest.fixture(scope="module")
def precisions(tmp_path_factory):
    """Precision of the training and of the probes -> the directory of a run."""
    options = {"probes": ("landscape", "ics"), "steps": 5, "norm": "none", "width": 0.1}
    path = tmp_path_factory.mktemp("precisions")
    return {
        (trained, probed): run(path, precision=trained, probe_precision=probed, **options)
        for trained, probed in (
            ("float32", "training"),
            ("float16", "training"),
            ("bfloat16", "training"),
            ("bfloat16", "float32"),
        )
    }


def test_half_precision_trains_and_measures_with_a_scaled_loss(precisions):
    half, full = precisions["float16", "training"], precisions["float32", "training"]
    for kind in ("train", "landscape"):
        ours, theirs = of_kind(half, kind), of_kind(full, kind)
        assert ours.keys() == theirs.keys()
        assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=0.01)
        assert all(math.isfinite(record["loss"]) for record in ours.values())
    # The first update was made, and not left out as one that overflows is.
    assert ours[4]["loss"] != ours[0]["loss"]
    ours, theirs = (of_kind(one, "landscape")[0]["gradient_norm"] for one in (half, full))
    assert ours == pytest.approx(theirs, rel=0.02)


def test_a_record_says_in_which_precision_it_was_measured(precisions):
    for (trained, probed), directory in precisions.items():
        expected = trained if probed == "training" else probed
        for kind in ("landscape", "ics"):
            for record in of_kind(directory, kind).values():
                assert record["precision"] == expected
                scale = 2.0**15 if expected == "float16" else None
                assert record.get("loss_scale") == scale
        frame = bnkit.load_runs(directory, "landscape")
        assert set(frame["landscape_precision"]) == {expected}
        assert set(frame["precision"]) == {trained}


def test_probes_in_float32_measure_what_a_float32_network_has_at_the_same_weights(precisions):
    """Training is the same, bit for bit; before the first update so are the weights."""
    by_probe = {p: of_kind(precisions["bfloat16", p], "train") for p in ("training", "float32")}
    assert by_probe["training"] == by_probe["float32"]
    full, ours, rounded = (
        of_kind(precisions[key], "landscape")
        for key in (("float32", "training"), ("bfloat16", "float32"), ("bfloat16", "training"))
    )
    how = {"precision"}
    assert {k: v for k, v in ours[0].items() if k not in how} == {
        k: v for k, v in full[0].items() if k not in how
    }
    assert rounded[0]["gradient_norm"] != ours[0]["gradient_norm"]
    # Later the weights are others than those of training in float32, and known to the last digit.
    assert ours[4]["loss"] != full[4]["loss"]
    assert ours[4]["loss"] == pytest.approx(rounded[4]["loss"], rel=0.01)
