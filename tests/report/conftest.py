"""Run directories with plausible numbers, as the other modules leave them on disk."""

import itertools
import json
import math
import random

import pytest

LAYERS = [*(f"conv{number}" for number in range(1, 9)), "dense9", "dense10", "logits"]
STEP_SIZES = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]
KINDS = (
    "train",
    "eval",
    "landscape",
    "random_landscape",
    "ics",
    "activations",
    "signal_propagation",
    "curvature",
    "gradient_noise",
    "weights",
    "batch_norm_identity",
)
# Normalisations with moving statistics.
MOVING = ("bn", "noisy_bn", "l1", "l2", "linf")
# Of the histograms of activations: fine near 0, and reaching far.
EDGES = [0.5 * math.sinh(0.25 * number) for number in range(-61, 62)]
QUANTILES = {
    0.01: -2.326,
    0.05: -1.645,
    0.25: -0.674,
    0.5: 0.0,
    0.75: 0.674,
    0.95: 1.645,
    0.99: 2.326,
}
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
        "probes": ["landscape", "random_landscape", "ics", "activations"],
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
    state = {"status": status, "reason": "", "steps": steps, "seconds": {}}
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
            gap = _population_gap(settings, step, test)
            yield {"step": step, "kind": "eval", "loss": test, "accuracy": correct, **gap}
        if step % settings["probe_every"] == 0 and step < steps:
            landscape = _landscape(settings, step, loss, stuck, noise)
            yield landscape
            yield from _random_landscapes(settings, landscape)
            yield _ics(LAYERS, step, loss, norm, stuck, noise)
            yield from _activations(settings, LAYERS, step)
            yield from _geometry(settings, LAYERS, step, landscape)


def _linear_records(settings, noise):
    norm, steps = settings["norm"], settings["steps"]
    lowest = {"none": 7e3, "bn": 3e3, "l1": 1.3e3}.get(norm, 2e3)
    layers = [f"dense{number}" for number in range(1, settings["depth"] + 1)]
    for step in range(steps + 1):
        loss = lowest + 5e4 * math.exp(-step / 200 - noise.random() / 50)
        if step < steps:
            yield {"step": step, "kind": "train", "loss": loss}
        if step % settings["eval_every"] == 0 and step:
            gap = _population_gap(settings, step, 1.1 * loss)
            yield {"step": step, "kind": "eval", "loss": 1.1 * loss, **gap}
        if step % settings["probe_every"] == 0 and step < steps:
            landscape = _linear_landscape(settings, step, loss, noise)
            yield landscape
            yield from _random_landscapes(settings, landscape)
            yield _ics(layers, step, loss, norm, False, noise)
            yield from _activations(settings, layers, step)
            yield from _geometry(settings, layers, step, landscape)


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


def _activations(settings, layers, step):
    """Two units of every layer, Gaussian; without normalisation they drift and widen."""
    units = [unit for _ in layers for unit in (3, 5)]
    moments = [_moments(settings, index, step) for index in range(len(units))]
    earlier = step - settings["probe_every"]
    before = [_moments(settings, index, earlier) for index in range(len(units))]
    start = [_moments(settings, index, 0) for index in range(len(units))]
    change = [["nan"] * len(units)] * 2 if step == 0 else _differences(moments, before)
    drift = _differences(moments, start)
    yield {
        "step": step,
        "kind": "activations",
        "layers": [layer for layer in layers for _ in range(2)],
        "units": units,
        "mean": [mean for mean, _ in moments],
        "variance": [variance for _, variance in moments],
        "mean_change": change[0],
        "variance_change": change[1],
        "mean_drift": drift[0],
        "variance_drift": drift[1],
        "quantiles": [[m + z * v**0.5 for z in QUANTILES.values()] for m, v in moments],
        "quantile_levels": list(QUANTILES),
        "histogram": [_histogram(mean, variance) for mean, variance in moments],
        "edges": EDGES,
    }
    yield {
        "step": step,
        "kind": "signal_propagation",
        "layers": layers,
        "squared_mean": [mean**2 + 1e-3 for mean, _ in moments[::2]],
        "variance": [variance for _, variance in moments[::2]],
        "rank": [max(1, 64 - 2 * depth) for depth, _ in enumerate(layers)],
        "effective_rank": [1 + 40 / (1 + depth) for depth, _ in enumerate(layers)],
    }


def _moments(settings, index, step):
    """Mean and variance of a unit."""
    depth, grown = 1 + index // 2, step / settings["steps"]
    wave = math.sin(1 + index + 5 * grown + settings["seed"])
    if settings["norm"] == "none":
        return 0.4 * wave + depth * grown / 4, 0.05 + 0.4 * depth * grown
    drift = {"bn": 0.2, "noisy_bn": 0.6}.get(settings["norm"], 0.4)
    return drift * grown * (1 + wave), 1 + drift * wave * grown


def _differences(moments, others):
    """Of the means, and of the variances."""
    pairs = list(zip(moments, others, strict=True))
    return [[now[i] - other[i] for now, other in pairs] for i in (0, 1)]


def _histogram(mean, variance):
    """How many of 128 values there are in every bin."""
    below = [64 * math.erfc((mean - edge) / math.sqrt(2 * variance)) for edge in EDGES]
    return [round(high - low) for low, high in itertools.pairwise(below)]


def _population_gap(settings, step, loss):
    """Batch statistics are better early, and a little worse later."""
    norm, lr, seed = settings["norm"], settings["lr"], settings["seed"]
    if norm not in MOVING:
        return {}
    noise = random.Random(f"gap{norm}{lr}{seed}{step}")
    gap = loss * (0.02 - 0.4 * math.exp(-step / 60) + noise.gauss(0, 0.01))
    return {"loss_batch_statistics": loss + gap, "loss_population_statistics": loss}


def _geometry(settings, layers, step, landscape):
    """Curvature, gradient noise, weights, and Theorem 4.1 at one step."""
    norm, lr, seed = settings["norm"], settings["lr"], settings["seed"]
    noise = random.Random(f"geometry{norm}{lr}{seed}{step}")
    yield _curvature(norm, lr, step, landscape, noise)
    full = settings["batch_size"] == settings.get("samples")
    yield _gradient_noise(step, landscape["gradient_norm"], full, noise)
    weights = _weights(norm, lr, layers, step, landscape["gradient_norm"], noise)
    yield weights
    if norm in ("bn", "noisy_bn"):
        yield _batch_norm_identity(step, weights["gradient_norm"][:-1], noise)


def _curvature(norm, lr, step, landscape, noise):
    """Rises to the edge of stability, with spikes; without normalisation negative at first."""
    rise = 1 - math.exp(-(step + 10) / (40 if norm == "bn" else 120))
    spike = 20 if noise.random() < 0.04 or (norm == "bn" and step == 0) else 1
    eigenvalue = 2 / lr * rise * spike * math.exp(noise.gauss(0, 0.25))
    return {
        "step": step,
        "kind": "curvature",
        "loss": landscape["loss"],
        "gradient_norm": landscape["gradient_norm"],
        "sharpness": eigenvalue * (-0.02 if norm == "none" and step == 0 else 0.1 + 0.6 * rise),
        "top_eigenvalue": eigenvalue,
        "residual": 0.01 * noise.random() * eigenvalue,
        "products": 12,
        "edge_of_stability": lr * eigenvalue / 2,
    }


def _gradient_noise(step, gradient_norm, full, noise):
    trace = 0.0 if full else 4 * gradient_norm**2 * math.exp(noise.gauss(0, 0.3))
    share = 0.2 + 0.5 * noise.random()
    return {
        "step": step,
        "kind": "gradient_noise",
        "batches": 8,
        "gradient_norm": gradient_norm,
        "trace": trace,
        "top_eigenvalue": trace * share,
        "share": "nan" if full else share,
        "signal_to_noise": "inf" if full else gradient_norm**2 / trace,
    }


def _weights(norm, lr, layers, step, gradient_norm, noise):
    """With BN the gradient explodes at initialisation; the last layer is not normalised."""
    lengths = [(3 + number % 4) * (1 + step / 900) for number, _ in enumerate(layers)]
    growth = 1.5 if norm == "bn" and step == 0 else 1.05
    gradients = [gradient_norm * growth**number / len(layers) for number in range(len(layers))]
    gradients.reverse()
    radial = [1e-15 if norm != "none" and layer != layers[-1] else 1e-3 for layer in layers]
    return {
        "step": step,
        "kind": "weights",
        "layers": layers,
        "weight_norm": lengths,
        "effective_lr": [lr / length**2 for length in lengths],
        "angular_update": [
            math.atan(lr * gradient / length)
            for gradient, length in zip(gradients, lengths, strict=True)
        ],
        "radial_share": [share * math.exp(noise.gauss(2, 1)) for share in radial],
        "gradient_norm": gradients,
    }


def _batch_norm_identity(step, gradients, noise):
    right = [(gradient / 3) ** 2 for gradient in gradients]
    differences = [3e-6 * math.exp(noise.gauss(0, 1)) for _ in right]
    ratio = 1.2 if step == 0 else 0.5
    return {
        "step": step,
        "kind": "batch_norm_identity",
        "layers": [f"norm{number}" for number, _ in enumerate(right, start=1)],
        "left": [side * (1 - one) for side, one in zip(right, differences, strict=True)],
        "right": right,
        "relative_difference": differences,
        "gradient_ratio": [ratio * math.exp(noise.gauss(0, 0.3)) for _ in right],
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
