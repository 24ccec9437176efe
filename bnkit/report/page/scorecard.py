"""The scorecard: arms against claims, for each baseline, from the verdicts of a report."""

from bnkit.report import claims


def tables(verdicts):
    """One table for each condition that has arms to compare.

    Args:
        verdicts: List of dicts, as in `claims.json`.

    Returns:
        A list of dicts: `condition`; `columns`, the questions that have an answer there, each with
        its `question` (the id), `title` and `unit`; and `groups`, one for each baseline, with
        `baseline`, `rows` and `above`. A row has the `arm`, and in `cells` the claim of every
        column, or None. `above` are the baselines that this one is held against as an arm.
        `left_out` are the questions that no arm has a number for, all for the same reason: their
        `question`, `title`, and the reason, `brief`.
    """
    pairs = _pairs(verdicts)
    by_condition = {}
    for claim in verdicts:
        if claim["condition"] and (claim["arm"], claim["baseline"]) in pairs:
            cells = by_condition.setdefault(claim["condition"], {})
            cells[claim["question"], claim["arm"], claim["baseline"]] = claim
    return [_table(condition, cells, pairs) for condition, cells in by_condition.items()]


def apart(verdicts):
    """Pairs `(arm, baseline)` that never have the same settings."""
    met = {(claim["arm"], claim["baseline"]) for claim in verdicts if claim["condition"]}
    return [pair for pair in _pairs(verdicts) if pair not in met]


def details(verdicts):
    """`(arm, baseline, claims)` of every pair: the claims that the study does not make itself."""
    return [
        (
            arm,
            baseline,
            [
                claim
                for claim in verdicts
                if not claim["of_study"] and (claim["arm"], claim["baseline"]) == (arm, baseline)
            ],
        )
        for arm, baseline in _pairs(verdicts)
    ]


def comparisons(verdicts):
    """How many verdicts have a p-value: those that Holm's adjustment is for."""
    return sum(claim["p"] is not None for claim in verdicts)


def _pairs(verdicts):
    """Arms and baselines that were asked for, by baseline.

    Every pair has general claims that the study does not make itself.
    """
    return list(
        dict.fromkeys(
            (claim["arm"], claim["baseline"]) for claim in verdicts if not claim["of_study"]
        )
    )


def _table(condition, cells, pairs):
    columns, left_out = [], []
    for general in claims.GENERAL:
        question = general.question.id
        answers = [claim for (asked, _, _), claim in cells.items() if asked == question]
        reasons = {claim["brief"] for claim in answers}
        if len(reasons) == 1 and all(claim["effect"] is None for claim in answers):
            (brief,) = reasons
            left_out.append({"question": question, "title": general.title, "brief": brief})
        elif answers:
            unit = answers[0]["unit"]
            columns.append({"question": question, "title": general.title, "unit": unit})
    groups = []
    for baseline in dict.fromkeys(baseline for _, baseline in pairs):
        rows = [
            {"arm": arm, "cells": [cells.get((one["question"], arm, baseline)) for one in columns]}
            for arm, other in pairs
            if other == baseline
        ]
        rows = [row for row in rows if any(row["cells"])]
        if rows:
            above = [
                group["baseline"]
                for group in groups
                if baseline in [row["arm"] for row in group["rows"]]
            ]
            groups.append({"baseline": baseline, "rows": rows, "above": above})
    return {"condition": condition, "columns": columns, "groups": groups, "left_out": left_out}
