"""claims.json, and the table of it."""

import json

import made_up
import numpy as np
import pytest

import bnkit
from bnkit.report import ReportError, claims
from bnkit.report.claims import file

SEEDS = made_up.SEEDS


@pytest.fixture
def found(tmp_path):
    """The claims of three arms, written below `tmp_path`."""
    levels = {"none": (0.5, 0.5, 0.5), "bn": (0.8, 0.9, 1.0), "rms": (0.5, 0.6, 0.3)}
    runs = [
        made_up.run(norm, seed, made_up.train(level))
        for norm, by_seed in levels.items()
        for seed, level in zip(SEEDS, by_seed, strict=True)
    ]
    evaluated = claims.evaluate(runs)
    file.write_claims(evaluated, tmp_path)
    return evaluated


def test_the_table_has_a_row_for_every_claim(found, tmp_path):
    table = bnkit.load_claims(tmp_path)
    assert list(table["id"]) == [claim.id for claim in found]
    assert list(table["arms"]) == [claim.arms for claim in found]
    for row, claim in zip(table.to_dict("records"), found, strict=True):
        low, high = claim.interval or (np.nan, np.nan)
        expected = [claim.effect, low, high, claim.p, claim.p_holm]
        given = [row[name] for name in ("effect", "low", "high", "p", "p_holm")]
        np.testing.assert_equal(given, [np.nan if one is None else one for one in expected])
        assert (row["verdict"], row["seeds"]) == (claim.verdict, claim.seeds)
    assert table["seeds"].dtype == int and table["of_study"].dtype == bool
    assert table["effect"].dtype == table["p_holm"].dtype == float
    bn = table[(table["question"] == "faster-training") & (table["arm"] == "bn")]
    assert bn["effect"].item() == pytest.approx(0.4) and bn["baseline"].item() == "none"
    # Differences of 0, 0.1 and -0.2: mean -1/30, deviation 0.1528; 100 seeds have 0.0303.
    rms = table[(table["id"] == "faster-training") & (table["arm"] == "rms")]
    assert rms[rms["baseline"] == "none"]["seeds_needed"].item() == pytest.approx(84, abs=3)


def test_the_file_itself_may_be_given(found, tmp_path):
    assert bnkit.load_claims(tmp_path / "claims.json").equals(bnkit.load_claims(str(tmp_path)))
    assert file.read_claims(tmp_path) == [
        json.loads(json.dumps(claim.to_dict())) for claim in found
    ]


def test_numbers_that_are_not_finite_come_back(tmp_path):
    entry = {"id": "a", "arms": ["x", "y"], "seeds": 3, "verdict": "inconclusive"}
    entry |= {"effect": "inf", "interval": ["-inf", "nan"]}
    (tmp_path / "claims.json").write_text(json.dumps([entry]))
    (row,) = bnkit.load_claims(tmp_path).to_dict("records")
    assert row["effect"] == np.inf and row["low"] == -np.inf and np.isnan(row["high"])


def test_a_report_of_an_earlier_version_lacks_values(tmp_path):
    entry = {"id": "a", "arms": ["bn"], "seeds": 3, "verdict": "supported", "effect": 0.5}
    (tmp_path / "claims.json").write_text(json.dumps([{**entry, "interval": None}]))
    table = bnkit.load_claims(tmp_path)
    assert table["effect"].item() == 0.5 and table["baseline"].isna().all()
    assert table["p"].isna().all() and table["seeds_needed"].isna().all()


def test_a_report_without_claims_is_an_empty_table(tmp_path):
    (tmp_path / "claims.json").write_text("[]")
    table = bnkit.load_claims(tmp_path)
    assert len(table) == 0 and {"id", "arm", "baseline", "low", "p_holm"} <= set(table)


@pytest.mark.parametrize(
    "wrong",
    [{"effect": "much"}, {"interval": [1]}, {"interval": 3}, {"seeds": None}, {"arms": 1}],
    ids=str,
)
def test_a_value_of_the_wrong_type_is_told_in_one_line(tmp_path, wrong):
    entry = {"id": "a", "arms": ["bn"], "seeds": 3, "verdict": "supported", **wrong}
    (tmp_path / "claims.json").write_text(json.dumps([entry]))
    with pytest.raises(ReportError, match="holds a value of the wrong type: ") as error:
        bnkit.load_claims(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; expected the directory of a report"),
        ("[{", "cannot be read: "),
        ("[" * 100_000, "cannot be read: "),
        ("{}", "does not hold verdicts"),
        ("[1]", "does not hold verdicts"),
        ('[{"id": "a"}]', "each with id, arms, seeds, verdict"),
    ],
)
def test_what_is_no_report_is_told_in_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "claims.json").write_text(content)
    with pytest.raises(ReportError, match=message) as error:
        bnkit.load_claims(tmp_path)
    assert "\n" not in str(error.value) and "claims.json" in str(error.value)
