"""Run directories with plausible numbers, as the other modules leave them on disk."""

import json
import math
import random

import pytest

LAYERS = [*(f"conv{number}" for number in range(1, 9)), "dense9", "dense10", "logits"]
STEP_SIZES = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]
KINDS = ("train", "eval", "landscape", "random_landscape", "ics")
# What the deep linear network sets otherwise.
DLN = {
    "lr": 1e-6,
    "model": "dln",
    "width": 10.0,
    "depth": 25,
    "activation": "linear",
    "norm_last": False,
    "dataset": "gaussian",
    "samples": 1000,
    "batch_size": 1000,
    "step_sizes": [1e-8, 3e-8, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5],
}


def write_run(
    root,
    norm="bn",
    lr=0.5,
    seed=0,
    study="main",
    steps=500,
    status="done",
    probe_every=25,
    kinds=KINDS,
    **settings,
):
    """One run directory; returns its path. `none` is stuck at lr 0.5, other arms train.

    With `**DLN` the deep linear network, where the loss along the gradient of `none` is unbounded
    at step 0, and up to 1e20 after that.
    """
    noise = random.Random(f"{norm}{lr}{seed}")
    name = f"{norm.replace('/', '-')}-lr{lr}-seed{seed}-1a2b3c4d"
    directory = root / study / name
    directory.mkdir(parents=True)
    settings = {
        "norm": norm,
        "lr": lr,
        "seed": seed,
        "model": "vgg11",
        "width": 0.25,
        "dataset": "glyphs",
        "batch_size": 128,
        "steps": steps,
        "optimizer": "sgd",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "probes": ["landscape", "random_landscape", "ics"],
        "directions": 2,
        "probe_every": probe_every,
        "step_sizes": STEP_SIZES,
        "eval_every": 50,
        "sync_norm": False,
        "precision": "float32",
        "strategy": "auto",
        **settings,
    }
    description = {
        "format": 1,
        "study": study,
        "run": name,
        "settings": settings,
        "command": ["python", "-m", "bnkit.main", f"--norm={norm}", f"--lr={lr}"],
        "versions": {"bnkit": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"},
        "data": {
            "name": settings["dataset"],
            "fingerprint": "0123456789abcdef",
            "classes": None if settings["model"] == "dln" else 10,
        },
        "device": {"strategy": "MirroredStrategy", "replicas": 1, "devices": ["CPU"], "cores": 2},
        "parameters": 620000,
        "created": "2026-11-22T13:38:00+00:00",
    }
    seconds = {"data": 1.2, "compile": 12.0, "train": 24.0, "landscape": 9.0, "ics": 4.0}
    state = {"status": status, "reason": "", "steps": steps}
    if status != "running":
        state["seconds"] = {**seconds, "evaluate": 3.0, "total": 55.0 + noise.random()}
    (directory / "settings.json").write_text(json.dumps(description))
    (directory / "status.json").write_text(json.dumps(state))
    made = _linear_records if settings["model"] == "dln" else _records
    records = [one for one in made(settings, noise) if one["kind"] in kinds]
    write_metrics(directory, records)
    return directory


def write_metrics(directory, records):
    """metrics.jsonl from a list of records."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (directory / "metrics.jsonl").write_text(lines)


def _loss(norm, lr, step):
    if norm == "none":
        return 2.303 if lr >= 0.5 else 0.2 + 2.1 / (1 + math.exp((step - 320) / 55))
    return 0.015 + 2.35 / (1 + math.exp((step - 110 / (1 + lr)) / 28)) + 0.9 * math.exp(-step / 20)


def _records(settings, noise):
    norm, lr, steps = settings["norm"], settings["lr"], settings["steps"]
    stuck = norm == "none" and lr >= 0.5
    for step in range(steps + 1):
        spike = 1 + 6 * noise.random() if noise.random() < 0.015 and not stuck else 1
        loss = _loss(norm, lr, step) * spike * math.exp(noise.gauss(0, 0.02 if stuck else 0.2))
        accuracy = 0.1 + 0.895 * math.exp(-loss) ** 1.2 if not stuck else 0.1
        accuracy = min(1.0, max(0.0, accuracy + noise.gauss(0, 0.025) * (1.02 - accuracy)))
        if step < steps:
            yield {"step": step, "kind": "train", "loss": loss, "accuracy": accuracy}
        if step % settings["eval_every"] == 0 and step:
            test = _loss(norm, lr, step) * 1.3 + 0.03
            correct = 0.1 if stuck else 0.1 + 0.88 * math.exp(-test)
            yield {"step": step, "kind": "eval", "loss": test, "accuracy": correct}
        if step % settings["probe_every"] == 0 and step < steps:
            landscape = _landscape(settings, step, loss, stuck, noise)
            yield landscape
            yield from _random_landscapes(settings, landscape)
            yield _ics(LAYERS, step, loss, norm, stuck, noise)


def _linear_records(settings, noise):
    norm, steps = settings["norm"], settings["steps"]
    lowest = {"none": 7e3, "bn": 3e3, "l1": 1.3e3}.get(norm, 2e3)
    layers = [f"dense{number}" for number in range(1, settings["depth"] + 1)]
    for step in range(steps + 1):
        loss = lowest + 5e4 * math.exp(-step / 200 - noise.random() / 50)
        if step < steps:
            yield {"step": step, "kind": "train", "loss": loss}
        if step % settings["eval_every"] == 0 and step:
            yield {"step": step, "kind": "eval", "loss": 1.1 * loss}
        if step % settings["probe_every"] == 0 and step < steps:
            landscape = _linear_landscape(settings, step, loss, noise)
            yield landscape
            yield from _random_landscapes(settings, landscape)
            yield _ics(layers, step, loss, norm, False, noise)


def _linear_landscape(settings, step, loss, noise):
    sizes, norm = settings["step_sizes"], loss / 5
    beta = 2 / settings["lr"] * math.exp(noise.gauss(0, 0.3))
    power = 3 if settings["norm"] == "none" else 1.1
    losses = [loss * (1 + (s / sizes[4]) ** power / 10) for s in sizes]
    distances = [beta * s * norm for s in sizes]
    if settings["norm"] == "none":
        losses[-1] = "inf" if step == 0 else 10 ** (20 - step / 100)
        distances[-1] = "nan" if step == 0 else 10 ** (18 - step / 100)
    worst = "nan" if "nan" in distances else max(distances[-1] / (sizes[-1] * norm), beta)
    return {
        "step": step,
        "kind": "landscape",
        "loss": loss,
        "gradient_norm": norm,
        "step_sizes": sizes,
        "losses": losses,
        "gradient_distances": distances,
        "smoothness": worst,
    }


def _random_landscapes(settings, landscape):
    """Flatter than along the gradient, and in every direction otherwise."""

    def damped(value, base, factor):
        return value if isinstance(value, str) else base + (value - base) * factor

    for direction in range(settings["directions"]):
        factor = 0.1 / (1 + direction)
        distances = [damped(one, 0, factor) for one in landscape["gradient_distances"]]
        yield {
            **landscape,
            "kind": "random_landscape",
            "direction": direction,
            "losses": [damped(one, landscape["loss"], factor) for one in landscape["losses"]],
            "gradient_distances": distances,
            "smoothness": damped(landscape["smoothness"], 0, factor),
        }


def _landscape(settings, step, loss, stuck, noise):
    rough = {"bn": 1.0, "none": 5.0}.get(settings["norm"], 1.6)
    norm = 0.02 if stuck else 0.3 + loss * (1 + 0.3 * noise.random())
    peak = 1 + (8 * noise.random() ** 3 if not stuck else 0)
    beta = (2 / settings["lr"]) * peak * math.exp(noise.gauss(0, 0.1))
    beta *= 3.0 if step == 0 and settings["norm"] == "bn" else 0.2 if stuck else 1.0
    sizes = settings["step_sizes"]
    scale = 0.004 if stuck else 0.35 * rough * norm * peak
    losses = [loss * (1 + scale * (s / 0.4) ** 2 - 0.3 * min(scale, 1) * s / 0.4) for s in sizes]
    return {
        "step": step,
        "kind": "landscape",
        "loss": loss,
        "gradient_norm": norm,
        "step_sizes": sizes,
        "losses": losses,
        "gradient_distances": [beta * s * norm * (1 - 0.5 * s) for s in sizes],
        "smoothness": beta * (1 - 0.5 * sizes[0]),
    }


def _ics(layers, step, loss, norm, stuck, noise):
    scale = (0.001 if stuck else 0.4 * loss + 0.02) * (2 if norm == "bn" else 1)
    spread = [math.exp(noise.gauss(0, 0.3)) for _ in layers]
    return {
        "step": step,
        "kind": "ics",
        "layers": layers,
        "l2": [0.0, *(scale * one / (1 + i / 4) for i, one in enumerate(spread[1:]))],
        "cosine": [1.0, *(math.tanh(1.2 / one) - 0.1 * noise.random() for one in spread[1:])],
        "gradient_norm": [scale * one for one in spread],
    }


@pytest.fixture
def runs(tmp_path):
    """A factory: `runs(norm="bn", ...)` writes a run below `runs.root` and returns its path.

    `model="dln"` brings the other settings of the deep linear network with it.
    """

    def factory(**settings):
        linear = DLN if settings.get("model") == "dln" else {}
        return write_run(factory.root, **{**linear, **settings})

    factory.root = tmp_path / "runs"
    return factory
