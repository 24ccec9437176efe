"""What TensorBoard's HParams tab shows of a run: its settings, and how it came out."""

import math

from tensorboard.plugins.hparams import api, api_pb2, summary

from bnkit.store import ENDED, read_status

# Headline number of the report -> scalar and its name in the table.
_METRICS = {
    "accuracy": ("headline/accuracy", "final accuracy"),
    "loss": ("headline/loss", "final loss"),
    "peak": ("headline/peak_smoothness", "peak smoothness"),
    "loss_range": ("headline/loss_range", "loss range"),
}
# TensorBoard shows five settings unless it is asked for more.
FIRST = ("norm", "lr", "seed", "model", "width")
_TYPES = {
    bool: api_pb2.DATA_TYPE_BOOL,
    int: api_pb2.DATA_TYPE_FLOAT64,
    float: api_pb2.DATA_TYPE_FLOAT64,
    str: api_pb2.DATA_TYPE_STRING,
}


def start(name, settings):
    """Summaries for the start of a run: which columns the table has, and the values of settings.

    Args:
        name: Tells the run from all others in the table.
        settings: Name -> plain value; lists are shown as text, and None is left out.
    """
    values = {key: plain(value) for key, value in settings.items() if value is not None}
    columns = [
        api_pb2.HParamInfo(name=key, type=_TYPES.get(type(values.get(key))), differs=key in FIRST)
        for key in settings
    ]
    # Without these names, every scalar of the run would be a column.
    metrics = [api.Metric(tag, display_name=shown).as_proto() for tag, shown in _METRICS.values()]
    return [summary.experiment_pb(columns, metrics), api.hparams_pb(values, trial_id=name)]


def end(path):
    """How the run in a directory came out; None while it may go on.

    Returns:
        `(steps, scalars, summary)`. `scalars`, name -> number, are the headline numbers of the
        report, without those that were not measured; `summary` marks the end of the run.
    """
    state = read_status(path)["status"]
    if state not in ENDED:
        return None
    # Imported here because it loads pandas, which only the end of a run needs.
    from bnkit.report.runs import read_runs
    from bnkit.report.statistics.headline import headline

    (run,) = read_runs(path)
    found = headline(run)
    scalars = {tag: found[key] for key, (tag, _) in _METRICS.items() if not math.isnan(found[key])}
    end = api_pb2.STATUS_SUCCESS if state == "done" else api_pb2.STATUS_FAILURE
    return found["steps"], scalars, summary.session_end_pb(end)


def plain(value):
    """A setting as one number or text."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
