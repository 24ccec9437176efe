"""What a report says in one sentence, and the command that would say more."""

import re
import shlex

from bnkit import families
from bnkit.report import claims, naming
from bnkit.report.page import effects
from bnkit.settings import MULTIWORKER

# Questions, the most telling first: the landscape, which the study is about, then the training.
TELLING = (
    "loss-range",
    "gradient-predictiveness",
    "smoothness",
    "faster-training",
    "larger-learning-rates",
    "ics-not-reduced",
    "shifts-means",
    "shifts-variances",
    "trains-as-well",
    "stops-training",
    "rough-at-start",
)
_SEEDS = range(claims.LEAST_SEEDS)
_VERDICTS = (claims.SUPPORTED, claims.CONTRADICTED, claims.INCONCLUSIVE)
_FLAG = re.compile(r"--?(norm|seed|lr)(=|$)")


def answer(verdicts):
    """One sentence on the most telling claim of a report that compares arms.

    That is the first of `TELLING` that is supported; without any the first that is contradicted,
    and then the first with a number, which is said to be inconclusive. BN against none comes before
    other arms. The choice does not look at the numbers.

    Args:
        verdicts: List of dicts, as in `claims.json`.

    Returns:
        The sentence without its full stop; "" where no claim compares two arms.
    """
    found = [
        claim
        for claim in verdicts
        if claim["effect"] is not None and claim["question"] in TELLING and claim["baseline"]
    ]
    if not found:
        return ""
    claim = min(found, key=_order)
    text = effects.sentence(claim)
    if len({one["condition"] for one in found}) > 1:
        text = f"{text} ({claim['condition']})"
    if claim["verdict"] == claims.INCONCLUSIVE:
        brief = re.sub(r"^\d+ seeds?; ", "", claim["brief"])
        return f"Nothing is decided yet. {text}: inconclusive, {brief}"
    return text


def deciding_command(run):
    """The command line of the study that would decide the claims on a run, or "".

    It is the run's own command, with `none` beside the normalisation, as many seeds as a verdict
    needs, and the model's default learning rate where the run has a larger one: at that, `none` may
    not train, and a landscape of an arm that does not says nothing. There is none for a run of
    several workers, which make one run at a time.

    Args:
        run: A `runs.Run`.
    """
    words = list(map(str, run.description.get("command", [])))
    if "bnkit.main" not in words or run.settings.get("strategy") == MULTIWORKER:
        return ""
    kept, skips = [], False
    for word in words:
        flag = _FLAG.match(word)
        if not skips and not flag:
            kept.append(word)
        # The value may be a word of its own.
        skips = bool(flag) and not flag[2]
    norm = run.settings["norm"]
    norms = "none,bn" if norm in ("none", "bn") else f"none,{norm}"
    seeds = ",".join(map(str, _SEEDS))
    rate = min(run.settings["lr"], _default_rate(run.settings))
    return shlex.join([*kept, f"--norm={norms}", f"--seed={seeds}", f"--lr={rate:g}"])


def _default_rate(settings):
    """Of the model, or the run's own where the model is not known."""
    model = settings.get("model")
    return families.get(model).defaults["lr"] if families.is_known(model) else settings["lr"]


def compared(runs, heads):
    """One line: what was trained on what, how often, and how it went.

    Args:
        runs: List of `runs.Run`.
        heads: Their headlines.
    """
    models = _listed(run.settings.get("model") for run in runs)
    data = _listed(run.settings.get("dataset") for run in runs)
    norms = list(dict.fromkeys(naming.plain(head["norm"]) for head in heads))
    rates = list(dict.fromkeys(str(head["lr"]) for head in heads))
    seeds = len({head["seed"] for head in heads})
    done = sum(head["status"] == "done" for head in heads)
    count = f"{len(runs)} runs, {done} done" if len(runs) > 1 else heads[0]["status"]
    return (
        f"{_and(norms)}: {models} on {data}, learning rate{'s' * (len(rates) > 1)} {_and(rates)}, "
        f"{seeds} seed{'s' * (seeds > 1)}; {count}"
    )


def _order(claim):
    is_central = (claim["arm"], claim["baseline"]) == ("bn", "none")
    return (
        _VERDICTS.index(claim["verdict"]),
        not is_central,
        TELLING.index(claim["question"]),
        naming.rank(claim["arm"]),
    )


def _listed(values):
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _and(words):
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
