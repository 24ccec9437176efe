"""Every choice that identifies a run, checked once, with a readable name for it."""

import dataclasses
import hashlib
import json
import re

from bnkit import families, model_arguments
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
    is_number,
    one_of,
)

OPTIMIZERS = ("sgd", "adam")
PRECISIONS = ("float32", "bfloat16")
STRATEGIES = ("auto", "cpu")

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
}


class SettingsError(ValueError):
    """A setting that is not valid; `field` names it."""

    def __init__(self, field, value, valid):
        self.field, self.value, self.valid = field, value, valid
        super().__init__(f"`{field}` must be {valid}. Received: {field}={value!r}")


def _is_norm(value):
    return isinstance(value, str) and bool(re.fullmatch(r"\w+|[\w.]+:\w+", value))


def _are_probes(value):
    return isinstance(value, tuple) and all(
        probe in PROBES and value.count(probe) == 1 for probe in value
    )


_MODEL = Rule(
    families.is_known, f"one of {', '.join(families.MODELS)}, or {families.PATH} of your own"
)
# What is valid whatever the model; `bnkit.families` has the rules that depend on it.
_RULES = {
    "norm": Rule(_is_norm, "a name such as 'bn', or 'package.module:Class'"),
    "lr": POSITIVE,
    "seed": SEED,
    "batch_size": COUNT,
    "steps": COUNT,
    "optimizer": one_of(OPTIMIZERS),
    "momentum": FRACTION,
    "weight_decay": NOT_NEGATIVE,
    "probes": Rule(_are_probes, f"a list out of {', '.join(PROBES)}, each at most once"),
    "probe_every": COUNT,
    "step_sizes": RISING,
    "directions": COUNT,
    "eval_every": COUNT,
    "sync_norm": TRUTH,
    "precision": one_of(PRECISIONS),
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
        lr: Learning rate, constant over the run.
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
        dataset: `glyphs`, or the name of a TensorFlow Datasets image classification set;
            `gaussian` for the deep linear network.
        train_split: TFDS split expression of the training images, such as `train[:90%]`; `train`
            by default.
        test_split: TFDS split expression of the test images, none of which may be among the
            training images; by default the first of `test`, `validation`, `val` and `valid` that
            is there and has labels.
        samples: Number of Gaussian samples.
        batch_size: Samples per update over all replicas together; all Gaussian ones by default.
        steps: Number of updates.
        optimizer: One of `OPTIMIZERS`.
        momentum: Momentum of SGD.
        weight_decay: `c` of the penalty `c/2 * sum ||kernel||^2`; not part of a measured loss.
        probes: What to measure, out of `bnkit.kinds.PROBES`.
        probe_every: Steps between two measurements; the first is at step 0.
        step_sizes: Grid of `s` in `theta - s g`: absolute, so that all arms share it.
        directions: Random directions at each measurement of the random landscape.
        eval_every: Steps between two evaluations on the test split.
        sync_norm: Whether normalisations that take statistics over the batch take those of the
            global batch instead of each replica's.
        precision: Compute type of the layers; variables and statistics stay float32.
        strategy: `auto` mirrors over all GPUs, or uses the CPU; `cpu` leaves GPUs alone.

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
        self._check("model", _MODEL)
        self._fill_in(families.get(self.model).defaults)
        for name in families.DEPENDENT:
            self._check(name, self._rule_of_model(name))
        for name, rule in _RULES.items():
            self._check(name, rule)
        if self.momentum and self.optimizer != "sgd":
            raise SettingsError("momentum", self.momentum, f"0 with optimizer={self.optimizer}")
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
        if isinstance(self.model_args, str):
            object.__setattr__(self, "model_args", self._canonical_arguments())
        if self.batch_size is None:
            object.__setattr__(self, "batch_size", self.samples)

    def _canonical_arguments(self):
        """The one form of the arguments for a model of the user's own; None for none."""
        try:
            return model_arguments.canonical(self.model_args) or None
        except ValueError as error:
            valid = f"{model_arguments.VALID}; {error}"
            raise SettingsError("model_args", self.model_args, valid) from error

    def _rule_of_model(self, name):
        """What is valid for a field that depends on the model: nothing, if the model lacks it."""
        rules = families.get(self.model).rules
        if name in rules:
            return rules[name]
        # None or False, for which no other value stands.
        default = type(self).__dataclass_fields__[name].default
        models = ", ".join(families.models_with(name))
        return Rule(lambda value: value is default, f"chosen with model={models} only")

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


def _plain(value, kind):
    """One form for equal values, so that they have one id: 1.0 for 1, a tuple for a list."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        # A number beyond float64 stays as it is, for the rules to refuse.
        return float(value) if is_number(value) else value
    if kind == tuple[float, ...] and isinstance(value, (list, tuple)):
        return tuple(_plain(entry, float) for entry in value)
    return tuple(value) if isinstance(value, list) else value
