"""One question, asked of made-up runs."""

import numpy as np
import pytest

from bnkit.report.claims import evaluation
from bnkit.report.statistics import bootstrap


def verdicts(runs, name):
    """What comes out for one claim of the study, without the time that the others take."""
    with pytest.MonkeyPatch.context() as patch:
        asked = [question for question in evaluation.QUESTIONS if question.id == name]
        patch.setattr(evaluation, "QUESTIONS", asked)
        patch.setattr(evaluation, "GENERAL", ())
        return evaluation.evaluate(runs)


def verdict(runs, name):
    """The only verdict on one claim."""
    (only,) = verdicts(runs, name)
    return only


def general(runs, name, baselines=None):
    """What comes out for one general question, the study's own claims aside."""
    with pytest.MonkeyPatch.context() as patch:
        asked = [one for one in evaluation.GENERAL if one.question.id == name]
        patch.setattr(evaluation, "QUESTIONS", ())
        patch.setattr(evaluation, "GENERAL", asked)
        return evaluation.evaluate(runs, baselines)


def assert_effect(claim, values):
    """Effect and interval are those of `values`, one per seed."""
    assert claim.effect == pytest.approx(np.mean(values), rel=1e-9, abs=1e-12)
    assert claim.interval == pytest.approx(bootstrap.interval(values), rel=1e-9, abs=1e-12)
    assert claim.seeds == len(values)
