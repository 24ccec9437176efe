"""What settings become: data, network, loss, optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_run import TINY, read, records, run

from bnkit import Settings
from bnkit.experiment import assembly
from bnkit.training import Trainer, cluster


def test_arms_start_from_the_same_weights_and_see_the_same_batches(tmp_path, monkeypatch):
    seen = {}

    def fit(self, batches, steps, callbacks):
        kernels = [v.numpy() for v in self.model.trainable_variables if len(v.shape) >= 2]
        seen[len(seen)] = [*kernels, batches.stack(0, 2)[0]]
        self.step = steps

    monkeypatch.setattr(Trainer, "fit", fit)
    run(tmp_path, norm="bn")
    run(tmp_path, norm="none")
    run(tmp_path, norm="none", seed=1)
    for bn, none in zip(seen[0], seen[1], strict=True):
        np.testing.assert_array_equal(bn, none)
    assert not any(np.array_equal(a, b) for a, b in zip(seen[1], seen[2], strict=True))


def test_precision_and_optimizer_reach_the_network(tmp_path, monkeypatch):
    trainers = []

    def fit(self, batches, steps, callbacks):
        trainers.append(self)
        self.step = steps

    monkeypatch.setattr(Trainer, "fit", fit)
    run(tmp_path, precision="bfloat16", momentum=0.9, sync_norm=True)
    run(tmp_path, optimizer="adam", lr=0.01)
    first, second = trainers

    def rate(trainer):
        return trainer.optimizer.learning_rate.value.numpy()

    assert first.model.get_layer("conv1").compute_dtype == "bfloat16"
    assert first.model.get_layer("norm1").synchronized
    assert first.model.dtype == "float32" and keras.config.dtype_policy().name == "float32"
    assert first.optimizer.momentum == 0.9 and rate(first) == pytest.approx(0.05)
    assert isinstance(second.optimizer, keras.optimizers.Adam)
    assert rate(second) == pytest.approx(0.01)
    assert second.model.get_layer("conv1").compute_dtype == "float32"
    # Nor do GPUs multiply with fewer digits.
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_a_run_with_a_layer_of_the_users_own(tmp_path):
    norm = "users_package.norms:Halve"
    directory = run(tmp_path, norm=norm, steps=2, probes=())
    assert read(directory, "status.json")["status"] == "done"
    assert read(directory, "settings.json")["settings"]["norm"] == norm


def test_a_run_with_a_model_of_the_users_own(tmp_path):
    """Not the width that other models have: what there is to choose is in its arguments."""
    own = {"model": "users_package.models:subclassed", "width": None}
    directory = run(tmp_path, **own, steps=2, probes=("ics", "activations"))
    assert read(directory, "status.json")["status"] == "done"
    layers = [record["layers"] for record in records(directory) if record["kind"] == "ics"]
    assert [len(names) for names in layers] == [2]
    own = {"model": "users_package.models:small", "model_args": "units=3", "width": None}
    directory = run(tmp_path, **own, steps=2, probes=())
    described = read(directory, "settings.json")
    assert described["settings"]["model_args"] == "units=3"
    assert described["parameters"] == 3 * (32 * 32 * 3 + 1) + 4 * 3 + 10 * 4


def test_a_model_that_is_not_finite_ends_before_its_first_step(tmp_path):
    own = {"model": "users_package.models:infinite", "width": None}
    with pytest.raises(ValueError, match=r"network must give finite values .*\(16, 10\)"):
        run(tmp_path, **own, steps=2, probes=())


def test_replicas_that_cannot_share_a_batch_leave_nothing_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "_devices", lambda name: ["CPU:0", "CPU:1"])
    with pytest.raises(ValueError, match=r"a multiple of the 2 replicas.*batch_size=15"):
        run(tmp_path / "study", batch_size=15)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("attribute", ["NotANumber", "Infinite"])
def test_a_run_with_a_layer_that_is_not_finite_ends_before_its_first_step(tmp_path, attribute):
    with pytest.raises(ValueError, match=r"normalisation norm\d+ must give finite values .*\(16, "):
        run(tmp_path, norm=f"users_package.norms:{attribute}", steps=2, probes=())


def test_the_workers_of_a_cluster_are_the_replicas(monkeypatch):
    class OfThree:
        num_replicas_in_sync = 3

    monkeypatch.setattr(cluster, "connect", OfThree)
    assert assembly.replicas(Settings(**TINY, strategy="multiworker")) == 3
    assert assembly.workers(Settings(**TINY)).count == 1
