import re

import numpy as np
import pytest
import small
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from bnkit import Settings, callbacks, experiment, kinds
from bnkit.store import RunDir


def values(directory):
    """`(step, value)` of everything in the event files, in the order written."""
    for path in sorted(directory.glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                yield event.step, value


def scalars(directory):
    """Tag -> step -> value, from the event files."""
    found = {}
    for step, value in values(directory):
        if value.metadata.plugin_data.plugin_name in ("scalars", ""):
            found.setdefault(value.tag, {})[step] = float(tf.make_ndarray(value.tensor))
    return found


def layout(directory):
    """The layout written last, as title of category -> title -> chart."""
    found = [v for _, v in values(directory) if v.tag == "custom_scalars__config__"][-1]
    assert found.metadata.plugin_data.plugin_name == "custom_scalars"
    parsed = layout_pb2.Layout.FromString(tf.make_ndarray(found.tensor).item())
    return {
        category.title: {chart.title: chart for chart in category.chart}
        for category in parsed.category
    }


def hparams(directory):
    """What the HParams tab reads: tag -> message."""
    found = {}
    for _, value in values(directory):
        data = value.metadata.plugin_data
        if data.plugin_name == "hparams":
            content = plugin_data_pb2.HParamsPluginData.FromString(data.content)
            found[value.tag] = getattr(content, content.WhichOneof("data"))
    return found


def landscape(step, **changes):
    distances = [0.7, 0.1, 0.4]
    record = {"step": step, "loss": 2.0, "losses": [1.5, 3.0, 2.5], "gradient_norm": 4.0}
    record |= {"kind": "landscape", "gradient_distances": distances, "smoothness": 5.0}
    return record | changes


def ics(step):
    return {"step": step, "kind": "ics", "layers": ["conv1", "dense2"], "cosine": [0.5, 0.25]}


def test_records_bands_and_speed_are_there(tmp_path):
    board = callbacks.TensorBoard(tmp_path)
    trainer = small.trainer()
    landscape = callbacks.Landscape([0.1, 0.2], every=5, write=board.write)
    shift = callbacks.InternalCovariateShift(every=5, write=board.write)
    metrics = callbacks.TrainingMetrics(board.write)
    evaluation = callbacks.Evaluation(
        small.split(), every=5, samples=64, batch_size=64, write=board.write
    )
    trainer.fit(small.batches(), 7, [landscape, shift, evaluation, metrics, board])
    seconds = trainer.clock.seconds
    seconds.update(landscape=2 - seconds["landscape"], ics=3 - seconds["ics"], compile=20)
    seconds["train"] = 70
    board.on_steps_end(6, {"loss": [1.0]})
    board.close()
    found = scalars(tmp_path)
    assert sorted(found["1_training/loss"]) == list(range(7))
    assert sorted(found["1_training/test_accuracy"]) == [0, 5, 7]
    record = landscape.records[1]
    for tag, value in {
        "2_landscape/loss_lower": min(*record["losses"], record["loss"]),
        "2_landscape/loss_upper": max(*record["losses"], record["loss"]),
        "2_landscape/gradient_distance_lower": min(record["gradient_distances"]),
        "2_landscape/gradient_distance_upper": max(record["gradient_distances"]),
        "2_landscape/smoothness": record["smoothness"],
        "ics/cosine_lower": min(shift.records[1]["cosine"]),
        "ics/gradient_norm": np.median(shift.records[1]["gradient_norm"]),
    }.items():
        assert abs(found[tag][5] - value) <= 1e-6 * abs(value), tag
    assert abs(found["learning_rate"][7] - 0.1) < 1e-7
    assert found["time/steps_per_second"][7] > 0
    assert found["time/seconds_of_probes"][7] == 5
    assert found["time/seconds_of_training"][7] == 70


@pytest.mark.parametrize("details", [False, True])
def test_every_chart_names_scalars_that_exist(tmp_path, details):
    board = callbacks.TensorBoard(tmp_path, details=details)
    board.write({"step": 0, "kind": "eval", "loss": 2.0, "accuracy": 0.1})
    board.write({"step": 0, "kind": "train", "loss": 2.0, "accuracy": 0.1})
    for step in (0, 5):
        board.write(ics(step))
        board.write(landscape(step))
        for direction in (0, 1):
            board.write(landscape(step, kind="random_landscape", direction=direction))
    board.close()
    found, charts = scalars(tmp_path), layout(tmp_path)
    assert {title: list(shown) for title, shown in charts.items()} == {
        "Training": ["loss", "accuracy"],
        "Along the gradient": ["loss", "gradient distance"],
        "Along random directions": [
            "loss, direction 0",
            "gradient distance, direction 0",
            "loss, direction 1",
            "gradient distance, direction 1",
        ],
        "Internal covariate shift": ["cosine, median and range over layers"]
        + ["cosine of each layer"] * details,
    }
    matched = {}
    for title, shown in charts.items():
        for name, chart in shown.items():
            (series,) = chart.margin.series or [None]
            if series:
                line, lower, upper = (
                    found[s][5] for s in (series.value, series.lower, series.upper)
                )
                expected = {"loss": (2, 1.5, 3), "gradient distance": (0.4, 0.1, 0.7)}
                expected["cosine"] = (0.375, 0.25, 0.5)
                assert (line, lower, upper) == pytest.approx(expected[name.split(",")[0]])
            else:
                (pattern,) = chart.multiline.tag
                matched[title, name] = {tag for tag in found if re.match(pattern, tag)}
    expected = {
        ("Training", "loss"): {"1_training/loss", "1_training/test_loss"},
        ("Training", "accuracy"): {"1_training/accuracy", "1_training/test_accuracy"},
    }
    if details:
        of_each = {"ics_cosine/conv1", "ics_cosine/dense2"}
        expected["Internal covariate shift", "cosine of each layer"] = of_each
        assert [found[f"ics_cosine/{layer}"][5] for layer in ("conv1", "dense2")] == [0.5, 0.25]
    assert matched == expected
    assert any("cosine/" in tag for tag in found) == details


def test_a_resumed_run_keeps_the_charts_of_what_it_had_measured(tmp_path):
    first = callbacks.TensorBoard(tmp_path / "first")
    first.write(landscape(0))
    first.close()
    second = callbacks.TensorBoard(tmp_path / "second")
    second.restore([landscape(0)])
    second.write(landscape(5))
    assert not [v for _, v in values(tmp_path / "second") if v.tag.startswith("custom")]
    second.write(ics(5))
    second.close()
    assert list(layout(tmp_path / "second")) == ["Along the gradient", "Internal covariate shift"]
    charts = layout(tmp_path / "second")["Along the gradient"]
    assert charts == layout(tmp_path / "first")["Along the gradient"]


def test_activations_are_shown_as_the_histograms_that_were_counted(tmp_path):
    board = callbacks.TensorBoard(tmp_path)
    one = {name: [0.0] for name in ("mean", "variance", "mean_change", "variance_change")}
    drift = {"mean_drift": [0.0], "variance_drift": [0.0], "layers": ["norm1"], "units": [3]}
    counted = {"edges": [-1e6, -1.0, 0.0, 2.0, 5.0, 1e6], "histogram": [[0, 6, 0, 1, 0]]}
    board.write({"step": 4, "kind": "activations", **one, **drift, **counted})
    board.close()
    assert not scalars(tmp_path)
    ((step, found),) = [(s, v) for s, v in values(tmp_path) if v.tag == "activations/norm1_unit3"]
    assert step == 4 and found.metadata.plugin_data.plugin_name == "histograms"
    np.testing.assert_array_equal(tf.make_ndarray(found.tensor), [[-1, 0, 6], [0, 2, 0], [2, 5, 1]])


SETTINGS = Settings(norm="bn", lr=0.5, seed=3, steps=200, probes=("landscape", "ics"))


def run(tmp_path, state, *, classify=True):
    """The directory of a run whose headline numbers are known: `(its hparams, its scalars)`."""
    with RunDir(tmp_path / "study" / "one") as directory:
        data = {"classes": 10 if classify else None}
        names = {"study": "study", "run": "one", "settings": SETTINGS.to_dict(), "data": data}
        directory.start(names)
        for step in range(200):
            accuracy = {"accuracy": step / 200} if classify else {}
            directory.append({"step": step, "kind": "train", "loss": 2.0 + step % 2, **accuracy})
        grid = {"step_sizes": [0.1, 0.2, 0.3]}
        for step, largest, smoothness in ((0, 9.0, 50.0), (100, 4.0, 7.0), (150, 3.0, 8.0)):
            losses = {"losses": [1.5, 2.0, largest], "smoothness": smoothness}
            directory.append(landscape(step, **grid, **losses))
        directory.set_status(state, steps=200)
        board = callbacks.TensorBoard(directory.tensorboard)
        board.write_settings("study/one", SETTINGS.to_dict())
        board.write_outcome(directory.path)
        board.close()
        return hparams(directory.tensorboard), scalars(directory.tensorboard)


@pytest.mark.parametrize(
    ("state", "status"),
    [("done", api_pb2.STATUS_SUCCESS), ("diverged", api_pb2.STATUS_FAILURE)],
)
def test_the_table_has_the_settings_and_how_the_run_came_out(tmp_path, state, status):
    table, found = run(tmp_path, state)
    start = table["_hparams_/session_start_info"]
    assert start.group_name == "study/one"
    shown = {key: getattr(v, v.WhichOneof("kind")) for key, v in start.hparams.items()}
    assert shown == {
        key: ",".join(map(str, value)) if isinstance(value, list) else value
        for key, value in SETTINGS.to_dict().items()
        if value is not None
    }
    assert shown["probes"] == "landscape,ics" and shown["lr"] == 0.5 and shown["seed"] == 3
    assert table["_hparams_/session_end_info"].status == status
    # Accuracy and loss: steps 150 to 199. Range: the median of 7.5, 2.5 and 1.5.
    expected = {"accuracy": 174.5 / 200, "loss": 2.5, "peak_smoothness": 8.0, "loss_range": 2.5}
    headline = {tag: by_step for tag, by_step in found.items() if tag.startswith("headline/")}
    assert headline == {f"headline/{name}": {200: pytest.approx(v)} for name, v in expected.items()}
    experiment = table["_hparams_/experiment"]
    assert [info.name for info in experiment.hparam_infos] == list(SETTINGS.to_dict())
    assert [i.name for i in experiment.hparam_infos if i.differs] == [
        "norm",
        "lr",
        "seed",
        "model",
        "width",
    ]
    assert {info.name.tag for info in experiment.metric_infos} == headline.keys()


def test_a_regression_has_a_final_loss_and_no_final_accuracy(tmp_path):
    _, found = run(tmp_path, "done", classify=False)
    assert "headline/accuracy" not in found
    assert found["headline/loss"] == {200: 2.5}


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_a_run_that_may_go_on_has_not_come_out_yet(tmp_path, state):
    table, found = run(tmp_path, state)
    assert table.keys() == {"_hparams_/session_start_info", "_hparams_/experiment"}
    assert not found


def test_an_experiment_writes_its_settings_and_how_it_came_out(tmp_path):
    settings = Settings(
        model="dln", depth=1, width=2, samples=8, steps=2, norm="none", probes=("landscape", "ics")
    )
    directory = experiment.run(
        settings, tmp_path / "study", progress=False, tensorboard_details=True
    )
    table, found = hparams(directory), scalars(directory)
    start = table["_hparams_/session_start_info"]
    assert start.group_name == f"study/{settings.run_id}"
    assert start.hparams["depth"].number_value == 1
    assert table["_hparams_/session_end_info"].status == api_pb2.STATUS_SUCCESS
    losses = [found["1_training/loss"][step] for step in (0, 1)]
    assert found["headline/loss"] == {2: pytest.approx(np.mean(losses))}
    assert found["headline/loss_range"].keys() == {2}
    (of_a_layer,) = (tag for tag in found if tag.startswith("ics_l2/"))
    assert found[of_a_layer] == found["ics/l2"]
    (card,) = (tf.make_ndarray(v.tensor).item() for _, v in values(directory) if "run" in v.tag)
    assert b"| samples | 8 |" in card


def test_a_number_beyond_float32_is_infinite_and_no_error(tmp_path):
    board = callbacks.TensorBoard(tmp_path)
    record = {"step": 3, "kind": "signal_propagation", "layers": ["a", "b"]}
    board.write(record | {"squared_mean": [1e47, 2.0]})
    board.close()
    found = scalars(tmp_path)
    assert found["signal_propagation/squared_mean_upper"][3] == float("inf")
    assert found["signal_propagation/squared_mean_lower"][3] == 2


def test_a_layer_without_a_value_takes_none_from_the_others(tmp_path):
    board = callbacks.TensorBoard(tmp_path)
    three = {"layers": ["a", "b", "c"], "cosine": [float("nan"), 0.5, 0.25]}
    board.write({"step": 1, "kind": "ics", **three})
    board.write({"step": 2, "kind": "ics", **three, "cosine": [float("nan")] * 3})
    board.close()
    found = scalars(tmp_path)
    edges = [found[f"ics/cosine{end}"] for end in ("_lower", "", "_upper")]
    assert [edge[1] for edge in edges] == [0.25, 0.375, 0.5]
    assert all(np.isnan(edge[2]) for edge in edges)


def test_tensorboard_opens_on_training_and_landscape_with_few_curves():
    """Its first two groups, in the order of its tags, are those that it opens."""
    of_every_run = [kinds.KINDS[name] for name in ("train", "eval", "landscape")]
    first = {kind.tags.split("/")[0] for kind in of_every_run}
    others = {kind.tags or kind.name for kind in kinds.KINDS.values()} - {
        kind.tags for kind in of_every_run
    }
    assert sorted(first | others)[:2] == sorted(first) == ["1_training", "2_landscape"]
