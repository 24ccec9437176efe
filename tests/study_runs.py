"""Runs of a study in which nothing but the process itself takes time, and what they leave."""

import json

from bnkit.store import ENDED, RunDir

# The deep linear network in its smallest form.
TINY = {
    "model": "dln",
    "depth": 2,
    "samples": 20,
    "norm": "none",
    "steps": 30,
    "probes": (),
    "probe_every": 10,
    "eval_every": 10,
}


def read(directory, name):
    return json.loads((directory / name).read_text())


def train_steps(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [r["step"] for r in map(json.loads, lines) if r["kind"] == "train"]


def end(study_dir, settings, state, *, loss=1.0, device=None, **status):
    """Leaves what a run of these settings leaves that ended in this state, in short.

    One that has ended has recorded a step at least.
    """
    with RunDir(study_dir / settings.run_id) as run:
        run.start(
            {
                "study": study_dir.name,
                "run": settings.run_id,
                "settings": settings.to_dict(),
                "data": {"classes": None},
                "device": device or {},
            }
        )
        for step in range(status.get("steps", 1 if state in ENDED else 0)):
            run.append({"step": step, "kind": "train", "loss": loss})
        run.set_status(state, **status)
    return run.path
