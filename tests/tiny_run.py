"""Runs on few images that take seconds, and what they leave."""

import json

from bnkit import Settings, experiment

TINY = {
    "width": 0.02,
    "batch_size": 16,
    "steps": 6,
    "probe_every": 4,
    "eval_every": 4,
    "step_sizes": (0.1, 0.2),
    "lr": 0.05,
}


def run(study, *, resume=True, command=(), **changes):
    settings = Settings(**{**TINY, **changes})
    return experiment.run(settings, study, resume=resume, command=command, progress=False)


def read(directory, name):
    return json.loads((directory / name).read_text())


def records(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def steps(directory, kind):
    return [record["step"] for record in records(directory) if record["kind"] == kind]
