"""Parts of a report: runs whose figures can share axes."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Part:
    """The runs of one model on one data set.

    Attributes:
        title: "vgg11 on glyphs"; "" if the report has no other part.
        suffix: Of the names of its figures; "" if the report has no other part.
        runs: List of `runs.Run`.
    """

    title: str
    suffix: str
    runs: list


def split(runs):
    """The parts of a report, in the order of their first runs.

    Losses of different tasks, and layers and step sizes of different models, have no axes in
    common.

    Args:
        runs: List of `runs.Run`.
    """
    groups = {}
    for run in runs:
        pair = tuple(str(run.settings.get(name, "unknown")) for name in ("model", "dataset"))
        groups.setdefault(pair, []).append(run)
    if len(groups) == 1:
        return [Part("", "", runs)]
    parts, taken = [], set()
    for (model, dataset), members in groups.items():
        suffix = re.sub(r"[^\w.-]", "_", f"-{model}-{dataset}")
        # Two names may differ in nothing but what a file's name cannot hold.
        while suffix in taken:
            suffix = f"{suffix}_"
        taken.add(suffix)
        parts.append(Part(f"{model} on {dataset}", suffix, members))
    return parts
