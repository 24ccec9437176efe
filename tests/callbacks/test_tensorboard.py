import small
import tensorflow as tf

from bnkit import callbacks


def scalars(directory):
    """Tag -> step -> value, from the event files."""
    found = {}
    for path in directory.glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_records_bands_and_speed_are_there(tmp_path):
    board = callbacks.TensorBoard(tmp_path)
    trainer = small.trainer()
    landscape = callbacks.Landscape([0.1, 0.2], every=5, write=board.write)
    shift = callbacks.InternalCovariateShift(every=5, write=board.write)
    metrics = callbacks.TrainingMetrics(board.write)
    evaluation = callbacks.Evaluation(small.split(), every=5, batch_size=64, write=board.write)
    trainer.fit(small.batches(), 7, [landscape, shift, evaluation, metrics, board])
    board.close()
    found = scalars(tmp_path)
    assert sorted(found["train/loss"]) == list(range(7))
    assert sorted(found["eval/accuracy"]) == [0, 5, 7]
    record = landscape.records[1]
    for tag, value in {
        "landscape/loss_lower": min(record["losses"]),
        "landscape/loss_upper": max(record["losses"]),
        "landscape/gradient_distance_lower": min(record["gradient_distances"]),
        "landscape/gradient_distance_upper": max(record["gradient_distances"]),
        "landscape/smoothness": record["smoothness"],
        "ics_cosine/dense2": shift.records[1]["cosine"][1],
    }.items():
        assert abs(found[tag][5] - value) <= 1e-6 * abs(value), tag
    assert abs(found["learning_rate"][7] - 0.1) < 1e-7
    assert found["time/steps_per_second"][7] > 0
    assert {"time/seconds/train", "time/seconds/landscape"} <= found.keys()
