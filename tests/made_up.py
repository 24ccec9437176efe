"""Made-up runs, whose truth is known, for the tests of claims."""

import itertools
import pathlib

from bnkit.report.claims.traces import Trace
from bnkit.report.runs import Run

LAYERS = ("conv1", "conv2", "conv3")
SIZES = [0.1, 0.2, 0.4]
SEEDS = (0, 1, 2)
STEPS = 200
CAPTURES = range(0, STEPS, 20)


def run(norm, seed=0, *groups, lr=0.1, state="done", classes=10, study="s", **settings):
    """A `Run` of records without a directory."""
    settings = {
        "norm": norm,
        "lr": lr,
        "seed": seed,
        "model": "dln" if classes is None else "vgg11",
        "dataset": "gaussian" if classes is None else "glyphs",
        "steps": STEPS,
        "step_sizes": SIZES,
        **settings,
    }
    name = f"{norm}-{lr}-{seed}"
    description = {"study": study, "run": name, "settings": settings, "data": {"classes": classes}}
    records = {}
    for number, record in enumerate(itertools.chain.from_iterable(groups)):
        records.setdefault(record["kind"], []).append((number, record))
    return Run(pathlib.Path(name), description, {"status": state}, records)


def train(accuracy=0.9, loss=1.0, steps=STEPS):
    """Records of constant values, or of a function of the step."""
    values = [one if callable(one) else lambda _, one=one: one for one in (accuracy, loss)]
    for step in range(steps):
        fields = {"accuracy": values[0](step), "loss": values[1](step)}
        fields = {name: value for name, value in fields.items() if value is not None}
        yield {"step": step, "kind": "train", **fields}


def landscape(loss_range=1.0, gradient_change=1.0, smoothness=10.0, captures=CAPTURES):
    """Probes with these values: numbers, "nan" or "inf", or functions of the step."""
    given = (loss_range, gradient_change, smoothness)
    functions = [one if callable(one) else lambda _, one=one: one for one in given]
    for step in captures:
        widest, farthest, roughest = (function(step) for function in functions)
        bounded = not isinstance(widest, str)
        yield {
            "step": step,
            "kind": "landscape",
            "loss": 1.0,
            "gradient_norm": 1.0,
            "step_sizes": SIZES,
            "losses": [1.0, 1.0, 1.0 + widest if bounded else widest],
            "gradient_distances": [0.0, 0.0, farthest],
            "smoothness": roughest,
        }


def ics(relative, cosine, captures=CAPTURES, layers=LAYERS):
    for step in captures:
        yield {
            "step": step,
            "kind": "ics",
            "layers": list(layers),
            "l2": [0.0, *(3.0 * relative(step) for _ in layers[1:])],
            "cosine": [1.0, *(cosine(step) for _ in layers[1:])],
            "gradient_norm": [3.0] * len(layers),
        }


def activations(mean_change, variance_change=0.0, variance=4.0, captures=CAPTURES):
    for step in captures:
        yield {
            "step": step,
            "kind": "activations",
            "layers": list(LAYERS),
            "units": [7, 8, 9],
            "mean": [0.0] * 3,
            "variance": [variance] * 3,
            "mean_change": [1e9 if step == 0 else mean_change] * 3,
            "variance_change": [variance_change] * 3,
            "mean_drift": [0.0] * 3,
            "variance_drift": [0.0] * 3,
        }


def batch_norm_identity(*differences, captures=(0, 20), left=1.0, right=1.0001):
    for step in captures:
        yield {
            "step": step,
            "kind": "batch_norm_identity",
            "layers": [f"norm{number}" for number, _ in enumerate(differences)],
            "left": [left] * len(differences),
            "right": [right] * len(differences),
            "relative_difference": list(differences),
            "gradient_ratio": [1.0] * len(differences),
        }


def trace(*arguments, **settings):
    """What a claim reads of a `run`."""
    return Trace(run(*arguments, **settings))


def arms(one, other, records, seeds=SEEDS, **settings):
    """Two arms of runs: `records(norm, seed)` gives the groups of records of each."""
    return [
        run(norm, seed, *records(norm, seed), **settings) for norm in (one, other) for seed in seeds
    ]
