"""The learning-rate envelope, against numbers worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import rates
from artists import arrows, extremes, legend, message, titles, words

from bnkit.report.figures import learning_rate_envelope, loss_band


def test_the_envelope_is_the_range_of_running_geometric_means_over_seeds_and_steps():
    random = np.random.default_rng(7)
    losses = {(lr, seed): random.uniform(0.1, 9, 25) for lr in rates.RATES for seed in (0, 1)}
    train = pd.concat(
        [rates.train(lr, loss, seed=seed, steps=25) for (lr, seed), loss in losses.items()]
    )
    data = learning_rate_envelope.ENTRY.data(train)
    assert list(data["step"]) == list(range(25))
    assert set(data["rates"]) == {rates.RATES} and set(data["runs"]) == {2}
    for step, low, high in data[["step", "low", "high"]].itertuples(index=False, name=None):
        window = slice(max(0, int(step) - 9), int(step) + 1)
        means = [
            np.prod(np.concatenate([losses[lr, 0][window], losses[lr, 1][window]]))
            ** (1 / (2 * min(step + 1, 10)))
            for lr in rates.RATES
        ]
        assert (low, high) == pytest.approx((min(means), max(means)), rel=1e-12)
    (axes,) = learning_rate_envelope.ENTRY.draw(train).axes
    last = data.iloc[-1]
    assert extremes(axes, 24) == pytest.approx((last["low"], last["high"]), rel=1e-12)
    assert axes.get_yscale() == "log" and axes.get_xlabel() == "step"


def test_the_envelope_says_that_it_is_not_the_landscape_along_the_gradient():
    figure = learning_rate_envelope.ENTRY.draw(pd.concat([rates.train(0.1), rates.train(0.5)]))
    said = words(figure)
    assert "separately trained runs" in said and "not the landscape along the gradient" in said
    assert r"\{0.1, 0.5\}" in said
    entry, band = learning_rate_envelope.ENTRY, loss_band.ENTRY
    assert "not the landscape along the gradient" in entry.caption
    assert f"“{band.title}”" in entry.caption and "separately trained" in entry.caption


def test_where_a_run_has_diverged_the_envelope_has_no_upper_end():
    train = pd.concat(
        [
            rates.train(0.1, 2.0, steps=6),
            rates.train(0.5, [3.0, 3.0, math.nan], steps=3, status="diverged"),
            rates.train(0.5, 3.0, seed=1, steps=6),
        ]
    )
    data = learning_rate_envelope.ENTRY.data(train)
    assert data["low"].tolist() == pytest.approx([2] * 6)
    assert data["high"].tolist() == pytest.approx([3, 3, *[math.inf] * 4])
    figure = learning_rate_envelope.ENTRY.draw(train)
    (axes,) = figure.axes
    assert arrows(axes) == [2.0] and "a run diverged" in legend(figure)
    assert extremes(axes, 5)[0] == pytest.approx(2) and extremes(axes, 5)[1] > 1e100
    assert axes.get_ylim()[1] < 10


def test_a_run_that_never_had_a_loss_leaves_the_envelope_of_the_others_unbounded():
    lost = rates.train(0.5, math.nan, steps=1, status="diverged")
    data = learning_rate_envelope.ENTRY.data(pd.concat([rates.train(0.1, 2.0), lost]))
    assert data["low"].tolist() == pytest.approx([2] * 4)
    assert data["high"].tolist() == [math.inf] * 4


def test_an_envelope_ends_with_the_first_run_to_end_without_having_diverged():
    train = pd.concat([rates.train(0.1), rates.train(0.5, 2.0, steps=2, status="interrupted")])
    data = learning_rate_envelope.ENTRY.data(train)
    assert data["step"].tolist() == [0, 1] and data["high"].tolist() == pytest.approx([2, 2])


def test_an_envelope_is_over_runs_that_differ_in_nothing_but_the_learning_rate():
    train = pd.concat(
        [
            *(rates.train(lr, width=1.0) for lr in (0.1, 0.2)),
            # One learning rate of a norm, and two that differ in the width as well.
            rates.train(0.1, norm="none", width=1.0),
            rates.train(0.1, norm="l1", width=1.0),
            rates.train(0.2, norm="l1", width=2.0),
        ]
    )
    data = learning_rate_envelope.ENTRY.data(train)
    assert set(data["norm"]) == {"bn"} and set(data["condition"]) == {"width 1"}
    assert list(data["condition"].cat.categories) == ["width 1"]
    alone = learning_rate_envelope.ENTRY.draw(train[train["norm"] == "l1"])
    assert message(alone).startswith("No finite losses")


def test_many_normalisations_have_a_panel_each():
    train = pd.concat(
        [rates.train(lr, lr, norm=norm) for lr in rates.RATES for norm in ("none", "bn", "l1")]
    )
    figure = learning_rate_envelope.ENTRY.draw(train)
    assert titles(figure.axes) == ["none", "BN", "$L_1$"]
    for axes in figure.axes:
        assert extremes(axes, 3) == pytest.approx((0.1, 0.4))
