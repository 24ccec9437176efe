"""A run directory from `model.fit`."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import dense

from bnkit import callbacks, load_runs


def test_the_description_says_what_was_trained(tmp_path):
    model, x, y = dense(optimizer=keras.optimizers.Adam(0.1))
    path = tmp_path / "runs" / "mine" / "first"
    model.fit(x, y, verbose=0, callbacks=[callbacks.RunDirectory(path, seed=3, classes=2)])
    described = json.loads((path / "settings.json").read_text())
    assert (described["study"], described["run"]) == ("mine", "first")
    assert described["settings"] == {
        "norm": "first",
        "lr": 0.1,
        "seed": 3,
        "model": "sequential",
        "optimizer": "adam",
    }
    assert described["data"] == {"classes": 2} and described["parameters"] == 4
    assert described["train_mean_over"] == "epoch"
    assert described["versions"]["tensorflow"] == tf.__version__
    assert described["versions"]["keras"] == keras.__version__


def test_a_run_directory_is_read_by_the_report(tmp_path):
    from bnkit.report import write_report

    x, y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for seed, name in enumerate(("first", "second")):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
        model.compile("sgd", loss, metrics=["accuracy"])
        run = callbacks.RunDirectory(tmp_path / "runs" / "mine" / name, norm="bn", seed=seed)
        watcher = callbacks.Landscape([0.1], batch=(x, y), every=2, write=run.write)
        model.fit(
            x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0,
            callbacks=[watcher, run],
        )  # fmt: skip
    table = load_runs(tmp_path / "runs", "landscape")
    assert list(table["step"]) == [0, 2, 0, 2] and set(table["run"]) == {"first", "second"}
    assert list(load_runs(tmp_path / "runs", "eval")["step"]) == [2, 4, 2, 4]
    assert set(load_runs(tmp_path / "runs", "train")["status"]) == {"done"}
    page = write_report(tmp_path / "runs" / "mine", tmp_path / "report")
    assert (page.parent / "figures" / "loss_band.png").exists()


def test_means_of_epochs_are_drawn_as_such(tmp_path):
    from bnkit.report import frames
    from bnkit.report.figures import loss
    from bnkit.report.runs import read_runs

    model, x, y = dense()
    run = callbacks.RunDirectory(tmp_path / "run")
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[run]).history["loss"]
    found = read_runs(tmp_path)
    tables = [frames.frame(found, kind) for kind in ("train", "eval")]
    drawn = loss.ENTRY.draw(*tables)
    text = " ".join(
        part.get_text() for part in (*drawn.texts, *(t for g in drawn.legends for t in g.texts))
    )
    assert "mean over each epoch" in text and "every epoch" in text
    assert "every step" not in text and "running mean" not in text
    raw = loss.ENTRY.data(*tables).query("series == 'run'")
    assert list(raw["step"]) == [0, 1, 2]
    np.testing.assert_allclose(raw["value"], history, rtol=1e-6)


def test_runs_of_one_process_are_arms_of_one_comparison(tmp_path):
    for name in ("first", "second"):
        run = callbacks.RunDirectory(tmp_path / name, norm="bn", classes=2)
        model, x, y = dense()
        watcher = callbacks.Landscape([0.1], batch=(x, y), write=run.write)
        model.fit(x, y, verbose=0, callbacks=[run, watcher])
    table = load_runs(tmp_path, "landscape")
    assert set(table["run"]) == {"first", "second"} and set(table["lr"]) == {0.1}
    assert table["model"].nunique() == 1
    assert set(load_runs(tmp_path, "train")["classes"]) == {2}


def test_a_second_fit_adds_to_a_run_directory_even_after_an_interrupt(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    run = callbacks.RunDirectory(tmp_path / "run")
    model, x, y = dense()
    model.fit(x, y, verbose=0, callbacks=[run])
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, callbacks=[run, Interrupt()])
    model.fit(x, y, verbose=0, callbacks=[run])
    assert list(load_runs(tmp_path / "run", "train")["step"]) == [0, 2]
    again = callbacks.RunDirectory(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, callbacks=[run, Interrupt()])
    model.fit(x, y, verbose=0, callbacks=[again])
    assert list(load_runs(tmp_path / "run", "train")["step"]) == [0, 2, 4]


def test_a_fit_without_a_finite_loss_has_diverged(tmp_path):
    model, x, y = dense(optimizer=keras.optimizers.SGD(1e30))
    run = callbacks.RunDirectory(tmp_path / "run")
    model.fit(x, y, epochs=4, verbose=0, callbacks=[run])
    assert set(load_runs(tmp_path / "run", "train")["status"]) == {"diverged"}


def test_several_steps_per_execution_are_not_counted_as_one(tmp_path):
    model, x, y = dense(steps_per_execution=2)
    with pytest.raises(ValueError, match="Received: steps_per_execution=2"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.RunDirectory(tmp_path / "run")])


def test_a_probe_of_ones_own_reaches_the_run_directory(tmp_path):
    class Mine(callbacks.ProbeCallback):
        kind = "mine"

        def measure(self, loss_fn, batch):
            return {"huge": tf.constant(1e300, tf.float64), "list": tf.zeros(2)}

        def before_update(self, batch):
            self.record(**self.take(batch))

    model, x, y = dense()
    run = callbacks.RunDirectory(tmp_path / "run")
    model.fit(x, y, verbose=0, callbacks=[run, Mine(batch=(x, y), write=run.write)])
    run.close()
    assert list(load_runs(tmp_path / "run", "mine")["huge"]) == [1e300, 1e300]


def test_a_run_directory_that_is_not_among_the_callbacks_says_so(tmp_path):
    run = callbacks.RunDirectory(tmp_path / "run")
    model, x, y = dense()
    watcher = callbacks.Landscape([0.1], batch=(x, y), write=run.write)
    with pytest.raises(ValueError, match="must be among the callbacks"):
        model.fit(x, y, verbose=0, callbacks=[watcher])


def landscape_of(run, x, y):
    return callbacks.Landscape([0.1], batch=(x, y), every=1, write=run.write)


def fitted(path, model, x, y, epochs=1, **options):
    """A fit in one batch an epoch, recorded in a directory by callbacks of its own."""
    run = callbacks.RunDirectory(path, **options)
    watcher = landscape_of(run, x, y)
    model.fit(x, y, epochs=epochs, verbose=0, validation_data=(x, y), callbacks=[watcher, run])
    return watcher


def steps_on_disk(path, kind="landscape"):
    return list(load_runs(path, kind)["step"])


def test_a_trained_model_goes_on_with_what_is_on_disk(tmp_path):
    """As after a crash: other callbacks, in another process or the same."""
    model, x, y = dense()
    path = tmp_path / "run"
    fitted(path, model, x, y, epochs=2)
    later = fitted(path, model, x, y, epochs=2)
    assert steps_on_disk(path) == [0, 1, 2, 3]
    assert steps_on_disk(path, "train") == [0, 1, 2, 3]
    assert steps_on_disk(path, "eval") == [1, 2, 3, 4]
    # The probe knows of what was measured before it.
    assert [record["step"] for record in later.records] == [0, 1, 2, 3]


def test_what_was_measured_after_the_checkpoint_is_measured_again(tmp_path):
    model, x, y = dense()
    path = tmp_path / "run"
    fitted(path, model, x, y, epochs=4)
    first = load_runs(path, "landscape").query("step < 2")
    model.optimizer.iterations.assign(2)
    fitted(path, model, x, y)
    assert steps_on_disk(path) == [0, 1, 2]
    assert steps_on_disk(path, "eval") == [1, 2, 3]
    again = load_runs(path, "landscape").query("step < 2")
    assert first["loss"].tolist() == again["loss"].tolist()


def test_activations_drift_from_what_was_on_disk(tmp_path):
    model, x, y = dense()
    path = tmp_path / "run"
    drifts = []
    for _ in range(2):
        run = callbacks.RunDirectory(path)
        watcher = callbacks.Activations(batch=(x, y), every=1, write=run.write)
        model.fit(x, y, verbose=0, callbacks=[run, watcher])
        drifts = [r["mean_drift"][0] for r in watcher.records if r["kind"] == "activations"]
    means = load_runs(path, "activations")["mean"].tolist()
    np.testing.assert_allclose(drifts, [0, means[1] - means[0]], rtol=1e-12)
    assert means[1] != means[0]


def test_a_fresh_model_does_not_erase_what_was_measured(tmp_path):
    model, x, y = dense()
    path = tmp_path / "run"
    fitted(path, model, x, y, epochs=2)
    before = (path / "metrics.jsonl").read_bytes()
    fresh, _, _ = dense()
    with pytest.raises(ValueError, match="`overwrite=True`"):
        fitted(path, fresh, x, y)
    assert (path / "metrics.jsonl").read_bytes() == before
    # Nothing was trained, and the directory is free for others.
    assert int(fresh.optimizer.iterations.numpy()) == 0
    fitted(path, fresh, x, y, overwrite=True)
    assert steps_on_disk(path) == [0]


def test_one_object_handed_a_fresh_model_does_not_erase_either(tmp_path):
    model, x, y = dense()
    run = callbacks.RunDirectory(tmp_path / "run")
    model.fit(x, y, verbose=0, callbacks=[run])
    with pytest.raises(ValueError, match="`overwrite=True`"):
        dense()[0].fit(x, y, verbose=0, callbacks=[run])
    assert steps_on_disk(tmp_path / "run", "train") == [0]


def test_a_trained_model_does_not_go_on_with_the_run_of_another(tmp_path):
    model, x, y = dense()
    fitted(tmp_path / "run", model, x, y)
    wider = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    wider.compile("sgd", "mse")
    wider.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="holds another run"):
        fitted(tmp_path / "run", wider, x, y)
    with pytest.raises(ValueError, match="holds another run"):
        fitted(tmp_path / "run", model, x, y, seed=7)


def test_records_of_one_kind_are_measured_alike(tmp_path):
    model, x, y = dense()
    run = callbacks.RunDirectory(tmp_path / "run")
    watchers = [
        callbacks.Landscape([0.1], batch=(x, y), statistics=statistics, write=run.write)
        for statistics in ("batch", "moving")
    ]
    with pytest.raises(ValueError, match="'landscape' in one run must be measured alike"):
        model.fit(x, y, verbose=0, callbacks=[run, *watchers])
    run.close()


@pytest.mark.parametrize(
    ("loss", "units", "classes"),
    [
        ("sparse_categorical_crossentropy", 4, 4),
        (keras.losses.CategoricalCrossentropy(), 4, 4),
        ("binary_crossentropy", 1, 2),
        ("mse", 4, None),
    ],
)
def test_the_number_of_classes_is_read_from_the_model(tmp_path, loss, units, classes):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, "sigmoid")])
    model.compile("sgd", loss)
    x, y = np.zeros((8, 3)), np.zeros((8, units))
    y = y[:, 0] if loss == "sparse_categorical_crossentropy" else y
    model.fit(x, y, verbose=0, callbacks=[callbacks.RunDirectory(tmp_path / "s" / "r", lr=0.25)])
    described = json.loads((tmp_path / "s" / "r" / "settings.json").read_text())
    assert described["data"] == ({"classes": classes} if classes else {})
    assert described["settings"]["lr"] == 0.25


def test_what_a_verdict_lacks_is_said_at_the_end(tmp_path, caplog):
    caplog.set_level("INFO", "bnkit")
    model, x, y = dense()
    model.fit(x, y, verbose=0, callbacks=[callbacks.RunDirectory(tmp_path / "s" / "r")])
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("no verdict on r: it lacks ") and "`classes=`" in line
    assert 'metrics=["accuracy"]' in line
    caplog.clear()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    run = callbacks.RunDirectory(tmp_path / "s" / "q")
    model.fit(np.zeros((8, 3)), np.zeros(8), verbose=0, callbacks=[run])
    assert not caplog.records
