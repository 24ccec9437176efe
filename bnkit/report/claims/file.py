"""`claims.json`: the verdicts of a report as a file."""

import dataclasses
import json
import pathlib

import pandas as pd

from bnkit.messages import one_line
from bnkit.report.claims.claim import Claim
from bnkit.report.runs import ReportError
from bnkit.store import replace_file

NAME = "claims.json"

_NEEDED = ("id", "arms", "seeds", "verdict")
_FLOATS = ("effect", "low", "high", "p", "p_holm")


def write_claims(claims, directory):
    """Writes a list of `Claim` into the directory of a report, and returns it as dicts."""
    verdicts = [claim.to_dict() for claim in claims]
    content = json.dumps(verdicts, indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(pathlib.Path(directory) / NAME, f"{content}\n".encode())
    return verdicts


def read_claims(path):
    """The verdicts of a report, as dicts.

    Args:
        path: The directory of a report (`reports/STUDY`), or its `claims.json`.

    Raises:
        ReportError: If there is no such file, or it is damaged.
    """
    path = pathlib.Path(path)
    file = path / NAME if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReportError(
            f"{file} does not exist; expected the directory of a report, or its {NAME} "
            "(`python -m bnkit.report runs/STUDY` writes one)"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(one_line(f"{file} cannot be read: {error}")) from None
    if not isinstance(found, list) or not all(map(_is_claim, found)):
        raise ReportError(
            f"{file} does not hold verdicts: expected a list of claims, each with "
            f"{', '.join(_NEEDED)}"
        )
    return found


def load_claims(path):
    """The verdicts of a report as a tidy DataFrame: a row for every claim and condition.

    The columns are those of a `Claim`, with `low` and `high` for its interval, numbers as numbers
    and `arms` as tuples. What a claim does not have is NaN or None: a report of an earlier version
    lacks some columns' values.

        claims = bnkit.load_claims("reports/mine")
        beside_none = claims[claims["baseline"] == "none"]
        beside_none.pivot(index="arm", columns="question", values="verdict")

    Args:
        path: The directory of a report (`reports/STUDY`), or its `claims.json`.

    Raises:
        ReportError: If there is no such file, or it is damaged.
    """
    found = read_claims(path)
    names = [field.name for field in dataclasses.fields(Claim)]
    at = names.index("interval")
    types = {**dict.fromkeys(_FLOATS, float), "seeds": int, "seeds_needed": "Int64"}
    try:
        table = pd.DataFrame(
            list(map(_row, found)), columns=[*names[:at], "low", "high", *names[at + 1 :]]
        )
        return table.astype(types)
    except (TypeError, ValueError) as error:
        raise ReportError(one_line(f"{path} holds a value of the wrong type: {error}")) from None


def _row(claim):
    low, high = claim.get("interval") or (None, None)
    row = {**dict.fromkeys(_FLOATS), **claim, "low": low, "high": high}
    return {**row, "arms": tuple(claim["arms"])}


def _is_claim(entry):
    return isinstance(entry, dict) and all(name in entry for name in _NEEDED)
