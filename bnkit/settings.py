"""Every choice that identifies a run, checked once, with a readable name for it."""

import dataclasses
import hashlib
import json
import math
import re

OPTIMIZERS = ("sgd", "adam")
PROBES = (
    "landscape",
    "ics",
    "activations",
    "random_landscape",
    "curvature",
    "gradient_noise",
    "weights",
    "batch_norm_identity",
)
PRECISIONS = ("float32", "bfloat16")
STRATEGIES = ("auto", "cpu")

_VGG = {
    "lr": 0.1,
    "width": 0.25,
    "activation": "relu",
    "dataset": "glyphs",
    "batch_size": 128,
    "steps": 500,
    # Half to four times the study's learning rate 0.1 (Fig 4), the same for every arm.
    "step_sizes": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4),
    "probe_every": 25,
    "eval_every": 50,
}
# The choices that follow from the model where they are not made. Only the deep linear network has
# a depth and a number of samples to choose.
DEFAULTS = {
    "vgg11": _VGG,
    "vgg16": _VGG,
    "dln": {
        "lr": 1e-6,
        "width": 10.0,
        "depth": 25,
        "activation": "linear",
        "dataset": "gaussian",
        "samples": 1000,
        "steps": 10_000,
        # A hundredth to thirty times the study's learning rate 1e-6 (Fig 10), evenly in its
        # logarithm.
        "step_sizes": (1e-8, 3e-8, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5),
        "probe_every": 100,
        "eval_every": 500,
    },
}
MODELS = tuple(DEFAULTS)
ACTIVATIONS = ("relu", "elu", "selu")


class SettingsError(ValueError):
    """A setting that is not valid; `field` names it."""

    def __init__(self, field, value, valid):
        self.field, self.value, self.valid = field, value, valid
        super().__init__(f"`{field}` must be {valid}. Received: {field}={value!r}")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What one run does: two runs with equal settings measure the same thing.

    Where data are read and results are written is not part of it.

    What is None follows from the model, see `DEFAULTS`, and is filled in at once.

    Attributes:
        norm: Name of a normalisation, or `package.module:Class` of a Keras layer.
        lr: Learning rate, constant over the run.
        seed: Seeds the initial weights, the order of the batches and the Gaussian data.
        model: One of `MODELS`.
        width: Multiplies the channels and units of every layer of a VGG; the units of every layer
            of the deep linear network.
        depth: Number of layers of the deep linear network; None for a VGG.
        norm_last: Whether the deep linear network normalises its last layer, too.
        activation: One of `ACTIVATIONS`; "linear" for the deep linear network.
        dataset: `glyphs`, or the name of a TensorFlow Datasets image classification set;
            `gaussian` for the deep linear network.
        samples: Number of Gaussian samples; None for images.
        batch_size: Samples per update over all replicas together; all Gaussian ones by default.
        steps: Number of updates.
        optimizer: One of `OPTIMIZERS`.
        momentum: Momentum of SGD.
        weight_decay: `c` of the penalty `c/2 * sum ||kernel||^2`; not part of a measured loss.
        probes: What to measure, out of `PROBES`.
        probe_every: Steps between two measurements; the first is at step 0.
        step_sizes: Grid of `s` in `theta - s g`: absolute, so that all arms share it.
        directions: Random directions at each measurement of the random landscape.
        eval_every: Steps between two evaluations on the test split.
        sync_norm: Statistics of the global batch instead of each replica's, where a
            normalisation takes any over the batch.
        precision: Compute type of the layers; variables and statistics stay float32.
        strategy: `auto` mirrors over all GPUs, or uses the CPU; `cpu` leaves GPUs alone.

    Raises:
        SettingsError: names the field, what came and what is valid.
    """

    norm: str = "bn"
    lr: float = None
    seed: int = 0
    model: str = "vgg11"
    width: float = None
    depth: int = None
    norm_last: bool = False
    activation: str = None
    dataset: str = None
    samples: int = None
    batch_size: int = None
    steps: int = None
    optimizer: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    probes: tuple[str, ...] = ("landscape", "ics", "activations")
    probe_every: int = None
    step_sizes: tuple[float, ...] = None
    directions: int = 1
    eval_every: int = None
    sync_norm: bool = False
    precision: str = "float32"
    strategy: str = "auto"

    def __post_init__(self):
        self._check("model", lambda v: v in MODELS, f"one of {', '.join(MODELS)}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None:
                value = DEFAULTS[self.model].get(field.name)
            object.__setattr__(self, field.name, _plain(value, field.type))
        if self.batch_size is None:
            object.__setattr__(self, "batch_size", self.samples)
        self._check_linear() if self.is_linear else self._check_vgg()
        self._check("norm", _is_norm, "a name such as 'bn', or 'package.module:Class'")
        for name in ("lr", "width"):
            self._check(name, lambda v: _is_number(v) and v > 0, "a finite number > 0")
        self._check("weight_decay", lambda v: _is_number(v) and v >= 0, "a finite number >= 0")
        self._check("momentum", lambda v: _is_number(v) and 0 <= v < 1, "a number in [0, 1)")
        self._check("seed", lambda v: _is_count(v, 0) and v < 2**31, "a whole number in [0, 2^31)")
        for name in ("batch_size", "steps", "probe_every", "directions", "eval_every"):
            self._check(name, lambda v: _is_count(v, 1), "a whole number >= 1")
        for name in ("sync_norm", "norm_last"):
            self._check(name, lambda v: isinstance(v, bool), "true or false")
        for name, valid in (
            ("optimizer", OPTIMIZERS),
            ("precision", PRECISIONS),
            ("strategy", STRATEGIES),
        ):
            self._check(name, lambda v, valid=valid: v in valid, f"one of {', '.join(valid)}")
        self._check(
            "probes",
            lambda v: isinstance(v, tuple) and all(v.count(p) == 1 and p in PROBES for p in v),
            f"a list out of {', '.join(PROBES)}, each at most once",
        )
        self._check(
            "step_sizes",
            lambda v: (
                isinstance(v, tuple)
                and v
                and all(_is_number(s) and s > 0 for s in v)
                and list(v) == sorted(set(v))
            ),
            "a rising list of finite numbers > 0",
        )
        if self.momentum and self.optimizer != "sgd":
            raise SettingsError("momentum", self.momentum, f"0 with optimizer={self.optimizer}")
        if self.is_linear and self.batch_size > self.samples:
            most = f"at most the number of samples, {self.samples}"
            raise SettingsError("batch_size", self.batch_size, most)

    @property
    def is_linear(self):
        """Whether this is the deep linear network on Gaussian data, or else a VGG on images."""
        return self.model == "dln"

    def _check_linear(self):
        whole = "a whole number >= 1 with model=dln"
        self._check("width", lambda v: _is_number(v) and v == int(v) >= 1, whole)
        self._check("dataset", lambda v: v == "gaussian", "gaussian with model=dln")
        self._check("activation", lambda v: v == "linear", "linear with model=dln")
        for name in ("depth", "samples"):
            self._check(name, lambda v: _is_count(v, 1), "a whole number >= 1")

    def _check_vgg(self):
        is_images = "glyphs or the name of a TFDS image classification set"
        self._check("dataset", lambda v: _is_text(v) and v != "gaussian", is_images)
        valid = f"one of {', '.join(ACTIVATIONS)}"
        self._check("activation", lambda v: v in ACTIVATIONS, valid)
        for name in ("depth", "samples"):
            self._check(name, lambda v: v is None, "chosen with model=dln only")
        self._check("norm_last", lambda v: not v, "chosen with model=dln only")

    def _check(self, name, is_valid, valid):
        value = getattr(self, name)
        if not is_valid(value):
            raise SettingsError(name, value, valid)

    def to_dict(self):
        """Plain values, as written to `settings.json`."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @property
    def run_id(self):
        """Readable and unique, such as `bn-lr0.5-seed0-1a2b3c4d`: equal settings, equal id."""
        norm = re.sub(r"[^A-Za-z0-9_]+", "_", self.norm)
        digest = hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()
        return f"{norm}-lr{self.lr:g}-seed{self.seed}-{digest[:8]}"


def _plain(value, kind):
    """One form for equal values, so that they have one id: 1.0 for 1, a tuple for a list."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[float, ...] and isinstance(value, (list, tuple)):
        return tuple(_plain(entry, float) for entry in value)
    return tuple(value) if isinstance(value, list) else value


def _is_text(value):
    return isinstance(value, str) and bool(value.strip())


def _is_norm(value):
    return isinstance(value, str) and bool(re.fullmatch(r"\w+|[\w.]+:\w+", value))


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
