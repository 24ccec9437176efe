"""Every choice that identifies a run, checked once, with a readable name for it."""

import dataclasses
import hashlib
import itertools
import json
import re

from bnkit import families, further_arguments
from bnkit.kinds import PROBES
from bnkit.rules import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    RISING,
    SEED,
    TRUTH,
    Rule,
    is_count,
    is_number,
    one_of,
)

# Those of Keras, by their names in lower case.
OPTIMIZERS = (
    *("sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "adadelta", "adamax", "adafactor"),
    *("ftrl", "lion", "lamb"),
)
SCHEDULES = ("constant", "cosine", "step", "range")
PRECISIONS = ("float32", "bfloat16", "float16")
MULTIWORKER = "multiworker"
STRATEGIES = ("auto", "cpu", MULTIWORKER)
PROBE_PRECISIONS = ("training", "float32")
JIT = ("auto", "on", "off")

# Arguments in one text -> those that are given a value anyway.
_ARGUMENTS = {
    "model_args": ("norm", "input_shape", "classes", "seed"),
    "optimizer_args": ("learning_rate", "momentum", "global_clipnorm", "name"),
}

# Characters of a norm in a run id; the digest tells longer ones apart.
_LONGEST_NORM = 150

# Fields that were added after runs had been made -> the value that stands for how those were made.
# At this value a field does not enter the run id, so that earlier runs keep theirs. An entry never
# changes, even if the field's default does.
LATER_FIELDS = {
    "train_split": None,
    "test_split": None,
    "skip": None,
    "norm_place": None,
    "model_args": None,
    "image_size": None,
    "optimizer_args": None,
    "schedule": "constant",
    "warmup": 0,
    "clip_norm": None,
    "augment": (),
    "label_smoothing": 0.0,
    "probe_steps": (),
    "probe_precision": "training",
    "jit": "auto",
}


class SettingsError(ValueError):
    """A setting that is not valid; `field` names it."""

    def __init__(self, field, value, valid):
        self.field, self.value, self.valid = field, value, valid
        super().__init__(f"`{field}` must be {valid}. Received: {field}={value!r}")


def _may_be_text(value):
    return value is None or isinstance(value, str)


def _is_norm(value):
    return isinstance(value, str) and bool(re.fullmatch(r"\w+|[\w.]+:\w+", value))


def _are_probes(value):
    return isinstance(value, tuple) and all(
        probe in PROBES and value.count(probe) == 1 for probe in value
    )


_MODEL = Rule(
    families.is_known, f"one of {', '.join(families.MODELS)}, or {families.PATH} of your own"
)


def _are_steps(value):
    return (
        isinstance(value, tuple)
        and all(is_count(step, 0) for step in value)
        and all(one < other for one, other in itertools.pairwise(value))
    )


# What is valid whatever the model; `bnkit.families` has the rules that depend on it.
_RULES = {
    "norm": Rule(_is_norm, "a name such as 'bn', or 'package.module:Class'"),
    "lr": POSITIVE,
    "seed": SEED,
    "batch_size": COUNT,
    "steps": COUNT,
    "optimizer": one_of(OPTIMIZERS),
    "optimizer_args": Rule(_may_be_text, further_arguments.VALID),
    "schedule": one_of(SCHEDULES),
    "warmup": Rule(lambda value: is_count(value, 0), "a whole number of steps >= 0"),
    "clip_norm": Rule(lambda value: value is None or POSITIVE.accepts(value), POSITIVE.valid),
    "probe_steps": Rule(_are_steps, "a rising list of whole numbers >= 0"),
    "momentum": FRACTION,
    "weight_decay": NOT_NEGATIVE,
    "probes": Rule(_are_probes, f"a list out of {', '.join(PROBES)}, each at most once"),
    "probe_every": COUNT,
    "step_sizes": RISING,
    "directions": COUNT,
    "eval_every": COUNT,
    "sync_norm": TRUTH,
    "precision": one_of(PRECISIONS),
    "probe_precision": one_of(PROBE_PRECISIONS),
    "jit": one_of(JIT),
    "strategy": one_of(STRATEGIES),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What one run does: two runs with equal settings measure the same thing.

    Where data are read and results are written is not part of it.

    A field that is None is filled in at once with the default of the model, see `bnkit.families`.
    It stays None if the model does not have it.

    Attributes:
        norm: Name of a normalisation, or `package.module:Class` of a Keras layer.
        lr: Learning rate: the largest of the run.
        seed: Seeds the initial weights, the order of the batches and the Gaussian data.
        model: One of `bnkit.families.MODELS`, or `package.module:function` of the user's own.
        model_args: Further arguments of a function of the user's own, such as `depth=3,mode=fast`.
        width: Multiplies the channels and units of every layer; of the deep linear network it is
            the units of every layer.
        depth: Number of weight layers, of a perceptron or the deep linear network.
        norm_last: Whether the deep linear network normalises its last layer, too.
        skip: Whether a residual network has its skip connections; the plain twin has none.
        norm_place: "post" normalises what the weight layers of a residual network or the branches
            of a transformer give, "pre" what they get.
        activation: Name of the non-linearity; "linear" for the deep linear network.
        dataset: `glyphs`, the name of a TensorFlow Datasets image classification set, or the path
            of files of the user's own; `gaussian` for the deep linear network.
        train_split: TFDS split expression of the training images, such as `train[:90%]`; `train`
            by default.
        test_split: TFDS split expression of the test images, none of which may be among the
            training images; by default the first of `test`, `validation`, `val` and `valid` that
            is there and has labels.
        image_size: Height and width that images are resized to, in pixels; by default images that
            are all of one size keep it, and others get 32.
        samples: Number of Gaussian samples.
        batch_size: Samples per update over all replicas together; all Gaussian ones by default.
        steps: Number of updates.
        optimizer: One of `OPTIMIZERS`.
        optimizer_args: Further arguments of Keras's optimizer, such as `beta_1=0.5,nesterov=True`.
        momentum: Momentum of SGD.
        schedule: How the learning rate changes: `constant`; `cosine` falls to 0 at the last step;
            `step` falls to a tenth after half of the steps, and again after three quarters;
            `range` rises from a ten-thousandth, as in a range test.
        warmup: Steps over which the rate rises linearly, before the schedule applies.
        clip_norm: Largest norm of the whole gradient of an update; None for no limit.
        augment: What is done to training images: `crop` shifts them by up to an eighth of their
            size, `flip` mirrors every other one.
        label_smoothing: Share of each target that is spread evenly over all classes; part of the
            loss that is measured, too.
        weight_decay: `c` of the penalty `c/2 * sum ||kernel||^2`; not part of a measured loss.
        probes: What to measure, out of `bnkit.kinds.PROBES`.
        probe_every: Steps between two measurements; the first is at step 0.
        probe_steps: Further steps at which it is measured.
        step_sizes: Grid of `s` in `theta - s g`: absolute, so that all arms share it.
        directions: Random directions at each measurement of the random landscape.
        eval_every: Steps between two evaluations on the test split.
        sync_norm: Whether normalisations that take statistics over the batch take those of the
            global batch instead of each replica's.
        precision: Compute type of the layers; variables and statistics stay float32.
        probe_precision: What probes compute in: `training` for the `precision` that is trained in;
            `float32` measures the same weights in float32, of bnkit's own models.
        jit: Whether XLA compiles the training step: `on`, `off`, or `auto` for where that pays,
            which is on a single GPU.
        strategy: `auto` mirrors over all GPUs, or uses the CPU; `cpu` leaves GPUs alone;
            `multiworker` is one run on the workers of a cluster, however many there are.

    Raises:
        SettingsError: names the field, what came and what is valid.
    """

    norm: str = "bn"
    lr: float = None
    seed: int = 0
    model: str = "vgg11"
    model_args: str = None
    width: float = None
    depth: int = None
    norm_last: bool = False
    skip: bool = None
    norm_place: str = None
    activation: str = None
    dataset: str = None
    train_split: str = None
    test_split: str = None
    image_size: int = None
    samples: int = None
    batch_size: int = None
    steps: int = None
    optimizer: str = "sgd"
    optimizer_args: str = None
    momentum: float = 0.0
    schedule: str = "constant"
    warmup: int = 0
    clip_norm: float = None
    augment: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    probes: tuple[str, ...] = ("landscape", "ics", "activations")
    probe_every: int = None
    probe_steps: tuple[int, ...] = ()
    step_sizes: tuple[float, ...] = None
    directions: int = 1
    eval_every: int = None
    sync_norm: bool = False
    precision: str = "float32"
    probe_precision: str = "training"
    jit: str = "auto"
    strategy: str = "auto"

    def __post_init__(self):
        self._check("model", _MODEL)
        self._fill_in(families.get(self.model).defaults)
        for name in families.DEPENDENT:
            self._check(name, self._rule_of_model(name))
        for name, rule in _RULES.items():
            self._check(name, rule)
        if self.momentum and self.optimizer != "sgd":
            raise SettingsError("momentum", self.momentum, f"0 with optimizer={self.optimizer}")
        if self.probe_precision != "training" and families.is_users(self.model):
            valid = "training with a model of your own"
            raise SettingsError("probe_precision", self.probe_precision, valid)
        if self.warmup > self.steps:
            raise SettingsError("warmup", self.warmup, f"at most the number of steps, {self.steps}")
        if self.samples is not None and self.batch_size > self.samples:
            most = f"at most the number of samples, {self.samples}"
            raise SettingsError("batch_size", self.batch_size, most)

    def _fill_in(self, defaults):
        """Gives every field its one form, and those that were not chosen their default."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None:
                value = defaults.get(field.name)
            object.__setattr__(self, field.name, _plain(value, field.type))
        for name, reserved in _ARGUMENTS.items():
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, self._canonical_arguments(name, reserved))
        if self.batch_size is None:
            object.__setattr__(self, "batch_size", self.samples)

    def _canonical_arguments(self, name, reserved):
        """The one form of further arguments; None for none."""
        text = getattr(self, name)
        try:
            return further_arguments.canonical(text, reserved) or None
        except ValueError as error:
            valid = f"{further_arguments.VALID}; {error}"
            raise SettingsError(name, text, valid) from error

    def _rule_of_model(self, name):
        """What is valid for a field that depends on the model: nothing, if the model lacks it."""
        rules = families.get(self.model).rules
        if name in rules:
            return rules[name]
        # None, False or nothing, for which no other value stands.
        default = type(self).__dataclass_fields__[name].default
        models = ", ".join(families.models_with(name))
        return Rule(lambda value: _is_same(value, default), f"chosen with model={models} only")

    def _check(self, name, rule):
        value = getattr(self, name)
        if not rule.accepts(value):
            raise SettingsError(name, value, rule.valid)

    def to_dict(self):
        """Plain values, as written to `settings.json`."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @property
    def run_id(self):
        """Readable and unique, such as `bn-lr0.5-seed0-1a2b3c4d`: equal settings, equal id."""
        # File names end at 255 bytes.
        norm = re.sub(r"[^A-Za-z0-9_]+", "_", self.norm)[:_LONGEST_NORM]
        identity = {
            name: value
            for name, value in self.to_dict().items()
            if name not in LATER_FIELDS or getattr(self, name) != LATER_FIELDS[name]
        }
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        return f"{norm}-lr{self.lr:g}-seed{self.seed}-{digest[:8]}"


def _is_same(one, other):
    """Whether two values are equal and of one type: 0 is not False."""
    return type(one) is type(other) and one == other


def _plain(value, kind):
    """One form for equal values, so that they have one id: 1.0 for 1, a tuple for a list."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        # A number beyond float64 stays as it is, for the rules to refuse.
        return float(value) if is_number(value) else value
    if kind == tuple[float, ...] and isinstance(value, (list, tuple)):
        return tuple(_plain(entry, float) for entry in value)
    return tuple(value) if isinstance(value, list) else value
