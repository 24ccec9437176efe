"""Every record as TensorBoard sees it."""

import numpy as np
import tensorflow as tf
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.histogram import metadata as histogram
from tensorboard.plugins.text import metadata as text

from bnkit import kinds
from bnkit.callbacks import card, charts, hparams
from bnkit.callbacks.base import Callback
from bnkit.kinds import Layout
from bnkit.store import RUN_EVENTS


class TensorBoard(Callback):
    """Writes records, learning rate and speed as scalars; `write` takes the records.

    Of the records of training steps, one of `every`; those of probes, all.

    TensorBoard opens on loss, accuracy and landscape, whose tags come first. The landscape appears
    as bands: a line with a lower and an upper edge. So does what is measured of each layer: the
    median, the smallest and the largest over the layers. Units appear as histograms. The tab Custom
    Scalars shows the bands as such. With `write_settings` and `write_outcome`, the run is in the
    table of the tab HParams, and its settings are in the tab Text.

    Args:
        directory: Where the event files go.
        every: Steps between two training records that are written.
        details: Whether to write a curve of each layer and of each unit, too, several hundred in
            all; Custom Scalars then shows those of all layers in one chart.
    """

    part = "records"

    def __init__(self, directory, every=1, details=False):
        super().__init__()
        self._every = every
        self._details = details
        self._writer = tf.summary.create_file_writer(str(directory), filename_suffix=RUN_EVENTS)
        self._charted = set()
        self._charts = {}

    def restore(self, records):
        """Takes over which charts the records of an interrupted run have called for."""
        for record in records:
            self._new_charts(record)

    def write_settings(self, name, settings, defaults=None):
        """The run in the table of runs, and a card of its own.

        Args:
            name: Tells the run from all others.
            settings: Name -> plain value; lists are shown as text.
            defaults: The value that each has unless it is chosen, as far as there is one.
        """
        self._write_raw(hparams.start(name, settings), step=0)
        with self._writer.as_default(step=0):
            content = card.settings_card(name, settings, defaults or {})
            metadata = text.create_summary_metadata(display_name=None, description=None)
            tf.summary.write("run/settings", tf.constant(content), metadata=metadata)

    def write_outcome(self, path):
        """Headline numbers of the run in a directory in the table; none while it may go on."""
        found = hparams.end(path)
        if found:
            step, scalars, end = found
            with self._writer.as_default(step=step):
                _write_scalars(scalars)
            self._write_raw([end], step=step)

    def write(self, record):
        """Writes one record, a dict with `step` and `kind`."""
        if record["kind"] == "train" and record["step"] % self._every:
            return
        scalars = _scalars(record, self._details)
        with self._writer.as_default(step=record["step"]):
            _write_scalars(scalars)
            if record["kind"] == "activations":
                for name, buckets in _histograms(record).items():
                    _write_histogram(name, buckets)
            if self._new_charts(record):
                _write_layout(charts.layout(self._charts))

    def on_train_begin(self, logs=None):
        self._trained = self.trainer.clock.seconds["train"]

    def on_steps_end(self, first, values):
        seconds = self.trainer.clock.seconds
        trained, self._trained = self._trained, seconds["train"]
        with self._writer.as_default(step=self.trainer.step):
            tf.summary.scalar("learning_rate", self.trainer.optimizer.learning_rate)
            if self._trained > trained:
                speed = len(values["loss"]) / (self._trained - trained)
                tf.summary.scalar("time/steps_per_second", speed)
            probes = sum(seconds[probe] for probe in kinds.PROBES)
            tf.summary.scalar("time/seconds_of_training", seconds["train"])
            tf.summary.scalar("time/seconds_of_probes", probes)

    def close(self):
        self._writer.close()

    def _new_charts(self, record):
        """Whether this is the first record of its kind, or direction, that has charts."""
        kind = record["kind"]
        key = (kind, record.get("direction"))
        if key in self._charted:
            return False
        self._charted.add(key)
        new = charts.charts(kind, _scalars(record, self._details))
        self._charts.setdefault(kind, []).extend(new)
        return bool(new)

    def _write_raw(self, summaries, step):
        with self._writer.as_default():
            for summary in summaries:
                tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)


def _scalars(record, details):
    """What a record is written as, name -> number; of an unknown kind, its single numbers.

    With `details`, that of each layer and of each unit, too.
    """
    kind = kinds.KINDS.get(record["kind"])
    key = kind.key if kind else ""
    fields = kind.fields if kind else ()
    left_out = {"step", key, *(field.name for field in fields if not field.is_curve)}
    if key in record:
        start = f"{kind.name}_{record[key]}/"
    else:
        start = (kind and kind.tags) or f"{record['kind']}/"
    scalars = {
        f"{start}{name}": value
        for name, value in record.items()
        if name not in left_out and type(value) in (int, float)
    }
    for field in fields:
        if field.name not in record:
            continue
        if field.band:
            scalars |= _band(f"{start}{field.band}", record[field.name], scalars)
        if field.layout is Layout.LAYER:
            # A layer that has none, as a gradient of zero has no direction, takes it from no other.
            known = [value for value in record[field.name] if not np.isnan(value)]
            scalars |= _band(f"{start}{field.name}", known or [np.nan], scalars)
        if details and field.layout in (Layout.LAYER, Layout.UNIT) and not field.is_list:
            values = zip(_labels(record, kind), record[field.name], strict=True)
            scalars |= {f"{kind.name}_{field.name}/{label}": value for label, value in values}
    return scalars


def _band(name, values, known):
    """The edges of a band and the line in it: the scalar of that name, or else the median."""
    line = known.get(name, np.median(values))
    values = [*values, line]
    return {name: line, f"{name}_lower": np.min(values), f"{name}_upper": np.max(values)}


def _labels(record, kind):
    """Of the entries of the lists of a record: the layer, or the layer and the unit."""
    if kind.layout is Layout.LAYER:
        return record["layers"]
    pairs = zip(record["layers"], record["units"], strict=True)
    return [f"{layer}_unit{unit}" for layer, unit in pairs]


def _write_scalars(scalars):
    # TensorFlow refuses what is beyond the range of float32: it is infinite there.
    with np.errstate(over="ignore"):
        for name, value in scalars.items():
            tf.summary.scalar(name, np.float32(value))


def _histograms(record):
    """Name -> `[bins, 3]`: left edge, right edge and count of the bins from the first to the last
    that hold anything."""
    edges, labels = np.array(record["edges"]), _labels(record, kinds.KINDS[record["kind"]])
    found = {}
    for unit, counts in zip(labels, record["histogram"], strict=True):
        filled = np.flatnonzero(counts)
        if len(filled):
            bins = slice(filled[0], filled[-1] + 1)
            buckets = [edges[:-1][bins], edges[1:][bins], np.array(counts)[bins]]
            found[f"activations/{unit}"] = np.stack(buckets, axis=1)
    return found


def _write_histogram(name, buckets):
    """A histogram that has been counted already."""
    metadata = histogram.create_summary_metadata(display_name=None, description=None)
    tf.summary.write(name, tf.constant(buckets, tf.float64), metadata=metadata)


def _write_layout(layout):
    """What the tab Custom Scalars shows; TensorBoard takes the one written last."""
    content = tf.constant(layout.SerializeToString())
    metadata = custom_scalar.create_summary_metadata()
    tf.summary.write(custom_scalar.CONFIG_SUMMARY_TAG, content, metadata=metadata)
