"""What a claim reads of a run, against values worked out by hand."""

import math

import made_up
import numpy as np
import pandas as pd
import pytest

from bnkit.report.claims.traces import final
from bnkit.report.statistics.pairing import NotComparable


def test_settings_and_how_it_ended():
    trace = made_up.trace("bn", 3, made_up.train(steps=7), lr=0.2, state="diverged")
    assert (trace.norm, trace.seed, trace.lr, trace.last_step) == ("bn", 3, 0.2, 6)
    assert trace.diverged and trace.ended and not trace.is_regression
    running = made_up.trace("bn", 3, state="running", classes=None)
    assert not running.ended and running.is_regression and running.last_step is None


def test_the_start_is_a_hundred_steps_or_a_hundredth_of_a_regression():
    assert made_up.trace("bn", 0, steps=10_000).early == 100
    assert made_up.trace("bn", 0, steps=200).early == 100
    assert made_up.trace("bn", 0, steps=42).early == 21
    assert made_up.trace("bn", 0, classes=None, steps=10_000).early == 100
    assert made_up.trace("bn", 0, classes=None, steps=401).early == 5


def test_performance_of_a_classification_is_accuracy_and_that_of_guessing_if_lost():
    levels = [0.5, "nan", 0.7]
    trace = made_up.trace("bn", 0, made_up.train(levels.__getitem__, steps=3), classes=4)
    assert trace.untrained == 0.25
    assert list(trace.performance) == [0.5, 0.25, 0.7]


def test_performance_of_a_regression_is_the_log_loss_and_the_first_finite_one_if_lost():
    losses = ["inf", 8.0, 2.0, "nan", 0.0]
    records = made_up.train(None, losses.__getitem__, steps=5)
    trace = made_up.trace("bn", 0, records, classes=None)
    assert trace.untrained == pytest.approx(-math.log(8))
    tiny = -math.log(np.finfo(float).tiny)
    expected = [-math.log(8), -math.log(8), -math.log(2), -math.log(8), tiny]
    np.testing.assert_allclose(trace.performance, expected)


def test_a_run_that_diverged_goes_on_untrained():
    def trace(state):
        return made_up.trace("bn", 0, made_up.train(0.6, steps=2), state=state)

    later = pd.RangeIndex(4)
    assert trace("diverged").performance_until(later).to_dict() == {0: 0.6, 1: 0.6, 2: 0.1, 3: 0.1}
    assert trace("interrupted").performance_until(later).to_dict() == {0: 0.6, 1: 0.6}


def test_progress_is_the_way_from_guessing_to_no_mistakes():
    half_way = made_up.trace("bn", 0, made_up.train(0.55))
    assert half_way.progress == pytest.approx(0.5) and half_way.trained
    # 5 % of the way from 0.1 to 1 is at 0.145.
    assert not made_up.trace("bn", 0, made_up.train(0.144)).trained
    assert made_up.trace("bn", 0, made_up.train(0.146)).trained
    lost = made_up.trace("bn", 0, made_up.train(0.9), state="diverged")
    assert lost.progress == 0 and not lost.trained


def test_progress_of_a_regression_is_the_log_of_how_far_the_loss_fell():
    def trace(end):
        return made_up.trace(
            "bn", 0, made_up.train(None, lambda step: end if step else 8.0), classes=None
        )

    assert trace(2.0).progress == pytest.approx(math.log(4)) and trace(2.0).trained
    assert trace(3.9).trained and not trace(4.1).trained


def test_the_final_performance_is_over_the_last_tenth():
    assert final(pd.Series(range(20))) == 18.5
    assert final(pd.Series(range(21))) == 19.0
    assert final(pd.Series([3.0])) == 3.0


def test_what_is_unknown_cannot_be_compared():
    with pytest.raises(NotComparable, match="number of classes is not known for norm=bn"):
        made_up.trace("bn", 0, classes=1).untrained  # noqa: B018
    with pytest.raises(NotComparable, match="norm=bn has no finite training loss"):
        made_up.trace("bn", 0, made_up.train(None, "inf"), classes=None).untrained  # noqa: B018
    with pytest.raises(NotComparable, match="norm=bn has no training accuracy on record"):
        made_up.trace("bn", 0, made_up.train(None)).performance  # noqa: B018
    with pytest.raises(NotComparable, match='norm=bn has no records of kind "landscape"'):
        made_up.trace("bn", 0).smoothness  # noqa: B018


def _probe(step, losses, distances, smoothness):
    return {
        "step": step,
        "kind": "landscape",
        "loss": 1.0,
        "gradient_norm": 1.0,
        "step_sizes": [0.1, 0.2, 0.4],
        "losses": losses,
        "gradient_distances": distances,
        "smoothness": smoothness,
    }


def test_the_landscape_by_step():
    probes = [
        _probe(0, [2.0, 0.5, 1.0], [3.0, 5.0, 4.0], 7.0),
        _probe(20, [2.0, "nan", 1.0], [3.0, "nan", 4.0], "nan"),
        _probe(40, ["-inf", 2.0, 1.0], ["inf", 1.0, 4.0], "inf"),
    ]
    trace = made_up.trace("bn", 0, probes)
    assert trace.loss_range.to_dict() == {0: 1.5, 20: math.inf, 40: math.inf}
    assert trace.gradient_change.to_dict() == {0: 5.0, 20: math.inf, 40: math.inf}
    assert trace.smoothness.to_dict() == {0: 7.0, 20: math.inf, 40: math.inf}


def test_changes_of_activations_without_those_of_the_first_capture():
    trace = made_up.trace("bn", 0, made_up.activations(-3.0, 2.0, variance=4.0, captures=(0, 20)))
    table = trace.activations
    assert list(table["layer"]) == list(made_up.LAYERS) and set(table["step"]) == {20}
    # In deviations 3 / 2, and 2 / 4 of the variance.
    assert set(table["mean"]) == {3.0} and set(table["variance"]) == {2.0}
    assert set(table["relative"]) == {2.0}
    still = made_up.trace("bn", 0, made_up.activations(1.0, 0.0, variance=0.0, captures=(0, 20)))
    assert set(still.activations["mean"]) == {1.0} and still.activations["relative"].isna().all()


def test_ics_is_relative_and_has_the_running_log_loss():
    records = made_up.ics(lambda step: 0.25, lambda step: 0.75, captures=(0, 20))
    trace = made_up.trace("bn", 0, made_up.train(0.9, lambda step: math.exp(-step)), records)
    table = trace.ics
    assert list(table["layer"]) == ["conv2", "conv3"] * 2
    assert set(table["relative"]) == {0.25} and set(table["cosine"]) == {0.75}
    # Centred over 11 steps: 0 to 5 at the first step, 15 to 25 at step 20.
    np.testing.assert_allclose(table["log_loss"], [-2.5, -2.5, -20.0, -20.0])


def test_ics_without_a_loss_or_a_gradient():
    trace = made_up.trace("bn", 0, made_up.train(0.9, "nan"), made_up.ics(lambda _: 1, lambda _: 1))
    assert len(trace.ics) == 0
    (record,) = made_up.ics(lambda _: 1, lambda _: 1, captures=(0,))
    trace = made_up.trace("bn", 0, made_up.train(), [{**record, "gradient_norm": [0.0] * 3}])
    assert len(trace.ics) == 2 and trace.ics["relative"].isna().all()


def test_two_sides_that_are_both_zero_are_equal():
    def differences(*values, **sides):
        return list(
            made_up.trace(
                "bn", 0, made_up.batch_norm_identity(*values, **sides)
            ).batch_norm_identity
        )

    assert differences(1e-6, 0.5) == [1e-6, 0.5] * 2
    assert differences("nan", left=0.0, right=0.0) == [0.0, 0.0]
    assert np.isnan(differences("nan", left="inf", right="inf")).all()


def test_measurements_with_moving_statistics_decide_nothing():
    records = [{**one, "statistics": "moving"} for one in made_up.landscape()]
    with pytest.raises(NotComparable, match="with moving statistics"):
        _ = made_up.trace("bn", 0, records).smoothness
    records = [{**one, "statistics": "batch"} for one in made_up.landscape()]
    assert made_up.trace("bn", 0, records).smoothness.eq(10).all()
