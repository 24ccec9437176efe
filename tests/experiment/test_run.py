"""A run: what it leaves on disk, and how it ends and goes on."""

import functools
import json
import os
import shutil
import signal
import time

import numpy as np
import PIL.Image
import pytest
from tiny_run import TINY, read, records, run, steps

import bnkit
from bnkit import Settings, data, experiment, models
from bnkit.data import load_gaussian
from bnkit.experiment import assembly
from bnkit.store import RunDir, RunError, RunFailed
from bnkit.training import Trainer

# Where it is not the network that matters: tracing one of three layers is a matter of a second.
SMALL = {"model": "mlp", "depth": 3}


def test_a_run_leaves_all_it_promises(tmp_path):
    options = {**SMALL, "weight_decay": 1e-3}
    directory = run(tmp_path / "study", command=["python", "-m", "bnkit.main"], **options)
    assert directory == tmp_path / "study" / Settings(**TINY, **options).run_id
    described = read(directory, "settings.json")
    assert Settings(**described["settings"]) == Settings(**TINY, **options)
    assert described["study"] == "study" and described["run"] == directory.name
    assert described["command"] == ["python", "-m", "bnkit.main"]
    assert described["versions"]["bnkit"] == bnkit.__version__
    assert described["data"]["train_size"] == 128 and len(described["data"]["fingerprint"]) == 16
    assert described["device"]["replicas"] == 1 and described["parameters"] > 0
    status = read(directory, "status.json")
    assert (status["status"], status["steps"], status["reason"]) == ("done", 6, "")
    assert {"data", "compile", "train", "landscape", "ics", "evaluate"} <= status["seconds"].keys()
    assert steps(directory, "train") == list(range(6))
    assert steps(directory, "landscape") == steps(directory, "ics") == [0, 4]
    assert steps(directory, "eval") == [0, 4, 6]
    assert all("penalty" in r for r in records(directory) if r["kind"] == "train")
    assert list(directory.glob("events*"))
    assert list((directory / "checkpoints").glob("ckpt-6.*"))
    frame = bnkit.load_runs(directory, "landscape")
    assert len(frame) == 2 * 2 and set(frame["norm"]) == {"bn"}


def test_a_finished_run_is_left_as_it_is_unless_told_otherwise(tmp_path, monkeypatch):
    directory = run(tmp_path, norm="none", probes=())
    before = (directory / "metrics.jsonl").stat().st_mtime_ns
    monkeypatch.setattr(Trainer, "fit", lambda *a: pytest.fail("trained again"))
    assert run(tmp_path, norm="none", probes=()) == directory
    assert (directory / "metrics.jsonl").stat().st_mtime_ns == before
    monkeypatch.undo()
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path / "cache"))
    few = functools.partial(data.load_glyphs, train_size=128, test_size=40)
    monkeypatch.setattr(data, "load_glyphs", few)
    first = records(directory)
    run(tmp_path, norm="none", probes=(), resume=False)
    assert (directory / "metrics.jsonl").stat().st_mtime_ns > before
    assert records(directory) == first


@pytest.fixture
def interrupted_at(monkeypatch):
    """Sends Ctrl-C, or another signal, to this process while the given step is made."""

    def arrange(step, times=1, number=signal.SIGINT):
        train = Trainer._train

        def with_interrupt(self, first, stop):
            if first <= step < stop:
                for _ in range(times):
                    os.kill(os.getpid(), number)
                    time.sleep(0.01)  # a signal that comes before the last was seen is dropped
            return train(self, first, stop)

        monkeypatch.setattr(Trainer, "_train", with_interrupt)
        return lambda: monkeypatch.setattr(Trainer, "_train", train)

    return arrange


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path, interrupted_at):
    before = signal.getsignal(signal.SIGINT)
    # Of the probes, only the activations look back at what was measured before.
    probes = ("landscape", "activations")
    options = {**SMALL, "norm": "noisy_bn", "probes": probes}
    whole = run(tmp_path / "whole", **options)
    disarm = interrupted_at(1)
    directory = run(tmp_path / "parts", **options)
    status = read(directory, "status.json")
    assert status["status"] == "interrupted" and 1 < status["steps"] < 6
    assert steps(directory, "train") == list(range(status["steps"]))
    disarm()
    assert run(tmp_path / "parts", **options) == directory
    assert read(directory, "status.json")["status"] == "done"
    assert records(directory) == records(whole)
    assert signal.getsignal(signal.SIGINT) is before


def test_streamed_images_make_the_run_that_decoded_ones_make(tmp_path, interrupted_at):
    """Bit for bit: after an interruption in the middle of an epoch, with probes that look ahead."""
    generator = np.random.default_rng(0)
    for role, count in (("train", 20), ("test", 4)):
        for name in ("cat", "dog"):
            (tmp_path / role / name).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (8, 8, 3)).astype(np.uint8)
                PIL.Image.fromarray(pixels).save(tmp_path / role / name / f"{i:02}.png")
    settings = Settings(
        model="mlp",
        width=0.02,
        dataset=str(tmp_path),
        batch_size=8,
        augment=("crop", "flip"),
        steps=12,
        probes=("landscape", "gradient_noise"),
        step_sizes=(0.1,),
        probe_every=5,
        eval_every=5,
    )

    def make(study, input):
        return experiment.run(settings, tmp_path / study, input=input, progress=False)

    decoded = make("decoded", "decoded")
    disarm = interrupted_at(6)
    directory = make("streamed", "streamed")
    assert 6 < read(directory, "status.json")["steps"] < 12
    disarm()
    make("streamed", "streamed")
    assert read(directory, "status.json")["status"] == "done"
    assert records(directory) == records(decoded)
    fingerprints = {
        read(one, "settings.json")["data"]["fingerprint"] for one in (decoded, directory)
    }
    assert len(fingerprints) == 1


@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_larger_than_half_of_the_memory_is_read_ahead(ahead, monkeypatch):
    settings = Settings(**TINY)
    dataset = assembly.load_dataset(settings, None, False)
    assert isinstance(dataset.train.x, np.memmap)
    fraction = 2 if ahead else 3
    monkeypatch.setattr(
        assembly.memory, "installed_bytes", lambda: dataset.train.x.nbytes * fraction - 1
    )
    batches = assembly.make_batches(settings, dataset)
    assert (batches._ahead is not None) is ahead


@pytest.mark.parametrize(("times", "saved"), [(2, 3), (3, 0)])
def test_an_impatient_second_interrupt_loses_nothing_a_third_ends_at_once(
    tmp_path, interrupted_at, times, saved
):
    interrupted_at(2, times)
    directory = run(tmp_path, norm="none", probes=())
    assert read(directory, "status.json")["status"] == "interrupted"
    names = [path.stem for path in directory.glob("checkpoints/*.index")]
    assert max(int(name.removeprefix("ckpt-")) for name in names) >= saved
    assert (saved > 0) == (len(names) == 2)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_signals_end_a_run_as_ctrl_c_does(tmp_path, interrupted_at, name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    disarm = interrupted_at(1, number=number)
    directory = run(tmp_path, norm="none", probes=())
    status = read(directory, "status.json")
    assert (status["status"], status["reason"]) == ("interrupted", f"stopped by {name}")
    disarm()
    run(tmp_path, norm="none", probes=())
    assert read(directory, "status.json")["status"] == "done"
    assert steps(directory, "train") == list(range(6))
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored(tmp_path, interrupted_at):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupted_at(1, number=signal.SIGHUP)
        directory = run(tmp_path, norm="none", probes=())
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert read(directory, "status.json")["status"] == "done"


DAMAGES = {
    "all checkpoints gone": lambda path: shutil.rmtree(path / "checkpoints"),
    "all checkpoints empty": lambda path: [
        file.write_bytes(b"") for file in (path / "checkpoints").glob("ckpt-*")
    ],
    "no description": lambda path: (path / "settings.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_no_checkpoint_never_means_wipe(tmp_path, interrupted_at, damage):
    disarm = interrupted_at(1)
    directory = run(tmp_path, norm="none", probes=())
    disarm()
    damage(directory)
    before = (directory / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"--noresume .*another --study"):
        run(tmp_path, norm="none", probes=())
    assert (directory / "metrics.jsonl").read_bytes() == before != b""
    run(tmp_path, norm="none", probes=(), resume=False)
    assert read(directory, "status.json")["status"] == "done"


def test_done_without_records_is_not_measured(tmp_path):
    directory = run(tmp_path, norm="none", probes=())
    (directory / "metrics.jsonl").unlink()
    shutil.rmtree(directory / "checkpoints")
    run(tmp_path, norm="none", probes=())
    assert steps(directory, "train") == list(range(6))


def test_a_run_does_not_go_on_with_other_data(tmp_path, interrupted_at, monkeypatch):
    disarm = interrupted_at(1)
    run(tmp_path, norm="none", probes=())
    disarm()
    fewer = functools.partial(data.load_glyphs, train_size=64)
    monkeypatch.setattr(data, "load_glyphs", fewer)
    with pytest.raises(RunError, match="fingerprint"):
        run(tmp_path, norm="none", probes=())


def test_divergence_is_a_result(tmp_path):
    directory = run(tmp_path, norm="none", lr=1e30, probes=())
    status = read(directory, "status.json")
    assert status["status"] == "diverged" and "is not finite" not in status["reason"]
    assert "loss is" in status["reason"]
    assert records(directory)[-1]["loss"] in ("nan", "inf")


def test_a_failure_is_written_down_and_raised(tmp_path, monkeypatch):
    def broken(*arguments):
        raise OSError("disk on fire")

    monkeypatch.setattr(data.Batches, "stack", broken)
    with pytest.raises(RunFailed, match="step 0: OSError: disk on fire"):
        run(tmp_path, norm="none", probes=())
    status = read(tmp_path / Settings(**TINY, norm="none", probes=()).run_id, "status.json")
    assert (status["status"], status["reason"]) == ("failed", "step 0: OSError: disk on fire")


def test_a_run_in_use_is_refused(tmp_path):
    with (
        RunDir(tmp_path / Settings(**TINY).run_id),
        pytest.raises(RunError, match="another process"),
    ):
        run(tmp_path)


def test_a_probe_of_batch_norm_is_left_out_where_there_is_none(tmp_path):
    options = {**SMALL, "probes": ("batch_norm_identity",), "steps": 1}
    kinds = {
        norm: {record["kind"] for record in records(run(tmp_path, norm=norm, **options))}
        for norm in ("none", "noisy_bn")
    }
    assert kinds == {"none": {"train", "eval"}, "noisy_bn": {"train", "eval", options["probes"][0]}}


# --- the deep linear network, from its settings to its frames ---


LINEAR = {
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


@pytest.fixture(scope="module")
def linear_run(tmp_path_factory):
    study = tmp_path_factory.mktemp("runs") / "study"
    return experiment.run(Settings(**LINEAR), study, progress=False)


def test_a_linear_run_leaves_all_it_promises(linear_run):
    described = json.loads((linear_run / "settings.json").read_text())
    assert Settings(**described["settings"]) == Settings(**LINEAR)
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
    status = json.loads((linear_run / "status.json").read_text())
    assert (status["status"], status["steps"], status["reason"]) == ("done", 6, "")
    assert list(linear_run.glob("events*"))
    assert list((linear_run / "checkpoints").glob("ckpt-6.*"))
    steps = {}
    for record in records(linear_run):
        steps.setdefault(record["kind"], []).append(record["step"])
    assert steps == {
        "train": list(range(6)),
        "eval": [0, 4, 6],
        "landscape": [0, 4],
        "random_landscape": [0, 0, 4, 4],
        "ics": [0, 4],
    }


def test_a_linear_run_measures_loss_and_no_accuracy(linear_run):
    for record in records(linear_run):
        if record["kind"] == "train":
            assert record.keys() == {"step", "kind", "loss"}
        assert "accuracy" not in record


def test_a_linear_run_starts_from_the_network_and_data_that_its_seed_gives(linear_run):
    dataset = load_gaussian(32, 4, seed=0)
    model = models.deep_linear("bn", 3, 4, seed=0)
    outputs = model(dataset.train.x, training=True).numpy()
    expected = 0.5 * ((outputs.astype(np.float64) - dataset.train.y) ** 2).sum()
    measured = records(linear_run)
    first = {record["kind"]: record for record in reversed(measured)}
    for kind in ("train", "landscape", "random_landscape"):
        np.testing.assert_allclose(first[kind]["loss"], expected, rtol=1e-5)
    start = models.deep_linear("bn", 3, 4, seed=0)(dataset.test.x, training=False).numpy()
    expected = 0.5 * ((start.astype(np.float64) - dataset.test.y) ** 2).sum()
    np.testing.assert_allclose(first["eval"]["loss"], expected, rtol=1e-5)


def test_a_linear_run_is_read_as_frames(linear_run):
    points = len(Settings(**LINEAR).step_sizes)
    train = bnkit.load_runs(linear_run, "train")
    assert len(train) == 6 and set(train["depth"]) == {3} and set(train["samples"]) == {32}
    assert "accuracy" not in train or train["accuracy"].isna().all()
    assert len(bnkit.load_runs(linear_run, "landscape")) == 2 * points
    random = bnkit.load_runs(linear_run, "random_landscape")
    assert len(random) == 2 * 2 * points
    assert set(random["direction"]) == {0, 1}
    assert set(random["step_size"]) == set(Settings(**LINEAR).step_sizes)
    ics = bnkit.load_runs(linear_run, "ics")
    assert list(ics["layer"]) == ["dense1", "dense2", "dense3"] * 2
