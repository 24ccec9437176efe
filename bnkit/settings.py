"""Every choice that identifies a run, checked once, with a readable name for it."""

import dataclasses
import hashlib
import json
import math
import re

MODELS = ("vgg11", "vgg16")
ACTIVATIONS = ("relu", "elu", "selu")
OPTIMIZERS = ("sgd", "adam")
PROBES = ("landscape", "ics")
PRECISIONS = ("float32", "bfloat16")
STRATEGIES = ("auto", "cpu")
# Half to four times the study's learning rate 0.1 (Fig 4), the same for every arm.
VGG_STEP_SIZES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)


class SettingsError(ValueError):
    """A setting that is not valid; `field` names it."""

    def __init__(self, field, value, valid):
        self.field, self.value, self.valid = field, value, valid
        super().__init__(f"`{field}` must be {valid}. Received: {field}={value!r}")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What one run does: two runs with equal settings measure the same thing.

    Where data are read and results are written is not part of it.

    Attributes:
        norm: Name of a normalisation, or `package.module:Class` of a Keras layer.
        lr: Learning rate, constant over the run.
        seed: Seeds the initial weights and the order of the batches.
        model: One of `MODELS`.
        width: Multiplies the number of channels and units of every layer.
        activation: One of `ACTIVATIONS`.
        dataset: `glyphs`, or the name of a TensorFlow Datasets image classification set.
        batch_size: Samples per update over all replicas together.
        steps: Number of updates.
        optimizer: One of `OPTIMIZERS`.
        momentum: Momentum of SGD.
        weight_decay: `c` of the penalty `c/2 * sum ||kernel||^2`; not part of a measured loss.
        probes: What to measure, out of `PROBES`.
        probe_every: Steps between two measurements; the first is at step 0.
        step_sizes: Grid of `s` in `theta - s g`: absolute, so that all arms share it.
        eval_every: Steps between two evaluations on the test split.
        sync_norm: Statistics of the global batch instead of each replica's, where a
            normalisation takes any over the batch.
        precision: Compute type of the layers; variables and statistics stay float32.
        strategy: `auto` mirrors over all GPUs, or uses the CPU; `cpu` leaves GPUs alone.

    Raises:
        SettingsError: names the field, what came and what is valid.
    """

    norm: str = "bn"
    lr: float = 0.1
    seed: int = 0
    model: str = "vgg11"
    width: float = 0.25
    activation: str = "relu"
    dataset: str = "glyphs"
    batch_size: int = 128
    steps: int = 500
    optimizer: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    probes: tuple[str, ...] = PROBES
    probe_every: int = 25
    step_sizes: tuple[float, ...] = VGG_STEP_SIZES
    eval_every: int = 50
    sync_norm: bool = False
    precision: str = "float32"
    strategy: str = "auto"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name), field.type))
        self._check("norm", _is_norm, "a name such as 'bn', or 'package.module:Class'")
        self._check("dataset", _is_text, "the name of a data set")
        for name in ("lr", "width"):
            self._check(name, lambda v: _is_number(v) and v > 0, "a finite number > 0")
        self._check("weight_decay", lambda v: _is_number(v) and v >= 0, "a finite number >= 0")
        self._check("momentum", lambda v: _is_number(v) and 0 <= v < 1, "a number in [0, 1)")
        self._check("seed", lambda v: _is_count(v, 0) and v < 2**31, "a whole number in [0, 2^31)")
        for name in ("batch_size", "steps", "probe_every", "eval_every"):
            self._check(name, lambda v: _is_count(v, 1), "a whole number >= 1")
        for name, valid in (
            ("model", MODELS),
            ("activation", ACTIVATIONS),
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
        self._check("sync_norm", lambda v: isinstance(v, bool), "true or false")
        if self.momentum and self.optimizer != "sgd":
            raise SettingsError("momentum", self.momentum, f"0 with optimizer={self.optimizer}")

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
