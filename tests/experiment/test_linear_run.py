"""A run of the deep linear network, from its settings to its frames."""

import json

import numpy as np
import pytest

import bnkit
from bnkit import Settings, experiment, models
from bnkit.data import load_gaussian

TINY = {
    "model": "dln",
    "depth": 3,
    "samples": 32,
    "width": 4,
    "steps": 6,
    "probe_every": 4,
    "eval_every": 4,
    "probes": ("landscape", "ics", "random_landscape"),
    "directions": 2,
    "norm": "bn",
}


def records_of(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    study = tmp_path_factory.mktemp("runs") / "study"
    return experiment.run(Settings(**TINY), study, progress=False)


def test_a_run_leaves_all_it_promises(tiny_run):
    described = json.loads((tiny_run / "settings.json").read_text())
    assert Settings(**described["settings"]) == Settings(**TINY)
    dataset = load_gaussian(32, 4, seed=0)
    assert described["data"] == {
        "name": "gaussian",
        "fingerprint": dataset.fingerprint,
        "train_size": 32,
        "test_size": 32,
        "classes": None,
        "input_shape": [4],
    }
    # Three kernels, and two normalisations with scale, shift and two moving averages each.
    assert described["parameters"] == 3 * 16 + 2 * 4 * 4
    status = json.loads((tiny_run / "status.json").read_text())
    assert (status["status"], status["steps"], status["reason"]) == ("done", 6, "")
    assert list((tiny_run / "tensorboard").glob("events*"))
    assert list((tiny_run / "checkpoints").glob("ckpt-6.*"))
    steps = {}
    for record in records_of(tiny_run):
        steps.setdefault(record["kind"], []).append(record["step"])
    assert steps == {
        "train": list(range(6)),
        "eval": [0, 4, 6],
        "landscape": [0, 4],
        "random_landscape": [0, 0, 4, 4],
        "ics": [0, 4],
    }


def test_a_run_measures_loss_and_no_accuracy(tiny_run):
    for record in records_of(tiny_run):
        if record["kind"] == "train":
            assert record.keys() == {"step", "kind", "loss"}
        assert "accuracy" not in record


def test_a_run_starts_from_the_network_and_data_that_its_seed_gives(tiny_run):
    dataset = load_gaussian(32, 4, seed=0)
    model = models.deep_linear("bn", 3, 4, seed=0)
    outputs = model(dataset.train.x, training=True).numpy()
    expected = 0.5 * ((outputs.astype(np.float64) - dataset.train.y) ** 2).sum()
    records = records_of(tiny_run)
    first = {record["kind"]: record for record in reversed(records)}
    for kind in ("train", "landscape", "random_landscape"):
        np.testing.assert_allclose(first[kind]["loss"], expected, rtol=1e-5)
    start = models.deep_linear("bn", 3, 4, seed=0)(dataset.test.x, training=False).numpy()
    expected = 0.5 * ((start.astype(np.float64) - dataset.test.y) ** 2).sum()
    np.testing.assert_allclose(first["eval"]["loss"], expected, rtol=1e-5)


def test_a_run_is_read_as_frames(tiny_run):
    points = len(Settings(**TINY).step_sizes)
    train = bnkit.load_runs(tiny_run, "train")
    assert len(train) == 6 and set(train["depth"]) == {3} and set(train["samples"]) == {32}
    assert "accuracy" not in train or train["accuracy"].isna().all()
    assert len(bnkit.load_runs(tiny_run, "landscape")) == 2 * points
    random = bnkit.load_runs(tiny_run, "random_landscape")
    assert len(random) == 2 * 2 * points
    assert set(random["direction"]) == {0, 1}
    assert set(random["step_size"]) == set(Settings(**TINY).step_sizes)
    ics = bnkit.load_runs(tiny_run, "ics")
    assert list(ics["layer"]) == ["dense1", "dense2", "dense3"] * 2
