"""Runs on disk -> tidy DataFrames."""

import dataclasses
import json
import pathlib

import pandas

from bnkit.store import FORMAT, NON_FINITE

_LANDSCAPE = (
    "loss",
    "gradient_norm",
    "smoothness",
    "step_size",
    "loss_after_step",
    "gradient_distance",
)
# The numeric fields of the kinds that figures are drawn from: an empty frame has them too.
FIELDS = {
    "train": ("loss", "accuracy"),
    "eval": ("loss", "accuracy", "loss_batch_statistics", "loss_population_statistics"),
    "landscape": _LANDSCAPE,
    "random_landscape": (*_LANDSCAPE, "direction"),
    "ics": ("l2", "cosine", "gradient_norm"),
    "activations": (
        "unit",
        "mean",
        "variance",
        "mean_change",
        "variance_change",
        "mean_drift",
        "variance_drift",
    ),
    "signal_propagation": ("squared_mean", "variance", "rank", "effective_rank"),
    "curvature": (
        "loss",
        "gradient_norm",
        "sharpness",
        "top_eigenvalue",
        "residual",
        "products",
        "edge_of_stability",
    ),
    "gradient_noise": (
        "batches",
        "gradient_norm",
        "trace",
        "top_eigenvalue",
        "share",
        "signal_to_noise",
    ),
    "weights": ("weight_norm", "effective_lr", "angular_update", "radial_share", "gradient_norm"),
    "batch_norm_identity": ("left", "right", "relative_difference", "gradient_ratio"),
}
# Kinds with a row for every layer, or every unit of one.
BY_LAYER = ("ics", "activations", "signal_propagation", "weights", "batch_norm_identity")
# A list field of a record holds one value per step size or layer; a row of a tidy frame holds one.
ONE_OF = {
    "step_sizes": "step_size",
    "losses": "loss_after_step",
    "gradient_distances": "gradient_distance",
    "layers": "layer",
    "units": "unit",
}
# Lists that belong to the record as a whole: repeated in every row, as tuples.
WHOLE = {"activations": ("edges", "quantile_levels")}
# Lists within a row: an empty frame has their columns, too.
TUPLES = {"activations": ("quantiles", "histogram", *WHOLE["activations"])}


class ReportError(ValueError):
    """What is on disk cannot be reported: nothing there, or damaged; the message says what."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run directory as read: `description` is settings.json, `status` is status.json.

    `records` maps a kind to its records in the order written, each `(line number, fields)`.
    """

    path: pathlib.Path
    description: dict
    status: dict
    records: dict

    @property
    def study(self):
        return self.description["study"]

    @property
    def name(self):
        return self.description["run"]

    @property
    def settings(self):
        return self.description["settings"]

    @property
    def identity(self):
        """`study, run, status` and every setting, lists as tuples: what every row starts with."""
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.settings.items()
        }
        return {"study": self.study, "run": self.name, "status": self.state, **settings}

    @property
    def state(self):
        """done, running, interrupted, diverged or failed; "unknown" without a status.json."""
        return self.status.get("status", "unknown")

    @property
    def classes(self):
        """Number of classes of the data; None where it is a regression, or not known yet."""
        return self.description.get("data", {}).get("classes")

    @property
    def is_regression(self):
        """Whether there is nothing to classify, and so no accuracy."""
        return "classes" in self.description.get("data", {}) and self.classes is None


def load_runs(path, kind):
    """Records of one kind under `path`, one row per record, as a tidy DataFrame.

    Args:
      path: a run directory, a study directory, or the directory of studies.
      kind: "train", "eval", "landscape", "random_landscape", "ics", or any other kind that a probe
        has recorded.

    Returns:
      A frame with the columns `study, run, status`, every setting (list settings as tuples), `step`
      and the fields of the record. Lists are exploded together: `landscape` has one row per step
      size (`step_size, loss_after_step, gradient_distance`, with `loss, gradient_norm, smoothness`
      repeated), `random_landscape` the same for every `direction`, `ics` one per weight layer
      (`layer, l2, cosine, gradient_norm`), as have `signal_propagation`, `weights` and
      `batch_norm_identity`; `activations` has one per layer and unit, with its `quantiles` and
      `histogram`, and the `quantile_levels` and `edges` that they refer to, as tuples. Lists of
      unequal length stay lists in a kind not named here. "nan" and "inf" are real floats. No record
      of that kind: no rows, the same columns. `train` also has the number of `classes` of the data,
      nan for a regression, and in `mean_over` whether its values are those of a "step" or means
      over an "epoch". A field named like a setting is prefixed by its kind.

    Raises:
      ReportError: nothing at `path`, no runs below it, or a damaged file (named, with the line).
    """
    return frame(read_runs(path), kind)


def read_runs(path):
    """Every run at or below `path` as a list of `Run`, by study and name.

    Raises:
      ReportError: as `load_runs`.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        found = "is a file" if path.exists() else "does not exist"
        raise ReportError(f"{path} {found}; expected the directory of a run, a study or of studies")
    for pattern in ("settings.json", "*/settings.json", "*/*/settings.json"):
        found = sorted(path.glob(pattern))
        if found:
            return [_read_run(settings.parent) for settings in found]
    raise ReportError(
        f"no runs in {path}: looked for settings.json, */settings.json and */*/settings.json"
    )


def frame(runs, kind):
    """The tidy DataFrame of `load_runs` for runs that have been read already."""
    tables = [_run_frame(run, kind) for run in runs]
    filled = [table for table in tables if len(table)]
    return pandas.concat(filled or tables[:1], ignore_index=True)


def seconds_frame(runs):
    """Seconds by part of every run that has recorded them: `study, run, norm, lr, seed, part,
    seconds`.

    What `total` holds beyond the named parts is the part "other".
    """
    rows = []
    for run in runs:
        parts = {name: float(value) for name, value in run.status.get("seconds", {}).items()}
        total = parts.pop("total", None)
        if total is not None:
            parts["other"] = max(0.0, total - sum(parts.values()))
        identity = {key: run.settings.get(key) for key in ("norm", "lr", "seed")}
        rows += [
            {"study": run.study, "run": run.name, **identity, "part": part, "seconds": seconds}
            for part, seconds in parts.items()
        ]
    return pandas.DataFrame(rows, columns=["study", "run", "norm", "lr", "seed", "part", "seconds"])


def _read_run(directory):
    description = _read_json(directory / "settings.json")
    missing = {"format", "study", "run", "settings"} - set(description)
    if missing:
        raise ReportError(f"{directory / 'settings.json'} lacks {', '.join(sorted(missing))}")
    if description["format"] != FORMAT:
        raise ReportError(
            f"{directory / 'settings.json'} has format {description['format']!r}; "
            f"this version of bnkit reads format {FORMAT}"
        )
    status = directory / "status.json"
    return Run(
        path=directory,
        description=description,
        status=_read_json(status) if status.exists() else {},
        records=_read_records(directory / "metrics.jsonl"),
    )


def _read_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReportError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ReportError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def _read_records(path):
    records = {}
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            kind, _ = fields["kind"], fields["step"]
        except (ValueError, KeyError, TypeError) as error:
            # Only what follows the last newline can be a line that is still being written.
            if number == len(lines):
                break
            shown = line[:60].decode("utf-8", "replace")
            raise ReportError(
                f"{path}, line {number} is damaged: expected a JSON object with step and kind, "
                f"got {shown!r}"
            ) from error
        records.setdefault(kind, []).append((number, fields))
    return records


def _run_frame(run, kind):
    rows = []
    for number, fields in run.records.get(kind, []):
        try:
            rows += _explode(kind, fields)
        except ReportError as error:
            raise ReportError(f"{run.path / 'metrics.jsonl'}, line {number}: {error}") from error
    table = pandas.DataFrame(rows)
    layer = ["layer"] if kind in BY_LAYER else []
    for name in ("step", *layer, *FIELDS.get(kind, ()), *TUPLES.get(kind, ())):
        if name not in table:
            table[name] = pandas.Series(float("nan"), index=table.index, dtype=float)
    for name in table.columns.difference(["step"]):
        if pandas.api.types.is_numeric_dtype(table[name]) or name in FIELDS.get(kind, ()):
            table[name] = table[name].astype(float)
    table = table.rename(columns={name: f"{kind}_{name}" for name in table if name in run.settings})
    if kind == "train":
        table["classes"] = float(run.classes or "nan")
        table["mean_over"] = run.description.get("train_mean_over", "step")
    columns = {
        name: pandas.Series([value] * len(table), index=table.index)
        for name, value in run.identity.items()
    }
    return pandas.concat([pandas.DataFrame(columns, index=table.index), table], axis=1)


def _explode(kind, fields):
    """Rows of one record: a row for every entry of its lists, its scalars repeated."""
    fields = {name: value for name, value in fields.items() if name != "kind"}
    whole = WHOLE.get(kind, ())
    lists = {
        name: value
        for name, value in fields.items()
        if isinstance(value, list) and name not in whole
    }
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        if kind in FIELDS:
            raise ReportError(f"lists of a {kind} record differ in length: {lengths}")
        lists = {}
    scalars = {name: _number(value) for name, value in fields.items() if name not in lists}
    scalars |= {name: _entry(scalars[name]) for name in whole if name in scalars}
    if not lists:
        return [scalars]
    names = [ONE_OF.get(name, name) for name in lists]
    return [
        {**scalars, **dict(zip(names, map(_entry, values), strict=True))}
        for values in zip(*lists.values(), strict=True)
    ]


def _entry(value):
    return tuple(map(_number, value)) if isinstance(value, list) else _number(value)


def _number(value):
    return NON_FINITE.get(value, value) if isinstance(value, str) else value
