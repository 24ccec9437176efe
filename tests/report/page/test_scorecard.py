"""The scorecard, from claims as they are in claims.json."""

import made_up

from bnkit.report import claims
from bnkit.report.page import scorecard

LEVELS = {"none": (0.4, 0.5, 0.45), "bn": (0.9, 0.95, 0.9), "rms": (0.1, 0.1, 0.1)}


def _found(levels=LEVELS, baselines=None, **settings):
    runs = [
        made_up.run(norm, seed, made_up.train(level), **settings)
        for norm, by_seed in levels.items()
        for seed, level in enumerate(by_seed)
    ]
    return [claim.to_dict() for claim in claims.evaluate(runs, baselines)]


def test_arms_against_claims_for_each_baseline():
    (table,) = scorecard.tables(_found())
    assert table["condition"] == "vgg11, glyphs, lr 0.1"
    assert [(one["question"], one["unit"]) for one in table["columns"]] == [
        ("faster-training", "accuracy"),
        ("trains-as-well", "accuracy"),
        ("stops-training", "share"),
        *((name, "ln ratio") for name in ("shifts-means", "shifts-variances", "ics-not-reduced")),
        *((name, "ln ratio") for name in ("loss-range", "gradient-predictiveness", "smoothness")),
    ]
    none, bn = table["groups"]
    assert [(one["baseline"], one["above"]) for one in (none, bn)] == [
        ("none", []),
        ("bn", ["none"]),
    ]
    assert [row["arm"] for row in none["rows"]] == ["bn", "rms"]
    assert [row["arm"] for row in bn["rows"]] == ["rms"]
    for group in (none, bn):
        for row in group["rows"]:
            for cell, column in zip(row["cells"], table["columns"], strict=True):
                assert (cell["arm"], cell["baseline"]) == (row["arm"], group["baseline"])
                assert cell["question"] == column["question"]
    # One of the study's own, and a general one.
    assert none["rows"][0]["cells"][0]["of_study"] and not none["rows"][1]["cells"][0]["of_study"]
    assert [row["cells"][0]["verdict"] for row in none["rows"]] == ["supported", "contradicted"]
    # The reasons differ: rms did not train, and bn has no records.
    briefs = [row["cells"][6]["brief"] for row in none["rows"]]
    assert briefs == ["no landscape records", "the arm did not train"]


def test_a_question_that_no_arm_answers_is_named_once():
    (table,) = scorecard.tables(_found())
    assert [(one["question"], one["brief"]) for one in table["left_out"]] == [
        ("larger-learning-rates", "fewer than two common learning rates"),
        ("rough-at-start", "no landscape records"),
    ]


def test_where_no_arm_has_any_answer_there_is_no_row():
    runs = [made_up.run(norm, seed) for norm in ("none", "bn") for seed in range(3)]
    (table,) = scorecard.tables([claim.to_dict() for claim in claims.evaluate(runs)])
    assert table["groups"] == table["columns"] == []
    assert len(table["left_out"]) == len(claims.GENERAL)


def test_every_condition_has_its_own_table_and_arms_that_never_meet_are_named():
    levels = {"none": (0.5,) * 3, "bn": (0.9,) * 3}
    found = []
    for width in (1.0, 2.0):
        found += [
            made_up.run(norm, seed, made_up.train(level), width=width)
            for norm, by_seed in levels.items()
            for seed, level in enumerate(by_seed)
        ]
    found.append(made_up.run("rms", 0, made_up.train(0.9), width=3.0))
    verdicts = [claim.to_dict() for claim in claims.evaluate(found)]
    conditions = [table["condition"] for table in scorecard.tables(verdicts)]
    assert conditions == ["vgg11, glyphs, lr 0.1, width 1", "vgg11, glyphs, lr 0.1, width 2"]
    assert scorecard.apart(verdicts) == [("rms", "none"), ("rms", "bn")]


def test_details_hold_what_the_study_does_not_ask():
    found = _found()
    details = scorecard.details(found)
    assert [pair[:2] for pair in details] == [("bn", "none"), ("rms", "none"), ("rms", "bn")]
    assert sum(len(members) for _, _, members in details) == sum(
        not claim["of_study"] for claim in found
    )
    bn = [claim["id"] for claim in details[0][2]]
    assert "trains-as-well" in bn and "faster-training" not in bn


def test_without_a_baseline_there_is_no_scorecard():
    found = _found({"rms": (0.5, 0.6), "layer": (0.5, 0.6)})
    assert scorecard.tables(found) == scorecard.apart(found) == scorecard.details(found) == []
    (table,) = scorecard.tables(_found({"rms": (0.5, 0.6), "layer": (0.5, 0.6)}, ["rms"]))
    assert [group["baseline"] for group in table["groups"]] == ["rms"]


def test_comparisons_are_those_with_a_p_value():
    found = _found()
    assert scorecard.comparisons(found) == len([one for one in found if one["p_holm"] is not None])
    assert scorecard.comparisons(found) == 7
