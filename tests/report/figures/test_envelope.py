"""The learning-rate envelope, against numbers worked out by hand."""

import math

import numpy
import pandas
import pytest
import rates

from bnkit.report import figures
from bnkit.report.figures import envelope


def _area(axes, step):
    vertices = axes.collections[0].get_paths()[0].vertices
    there = vertices[vertices[:, 0] == step][:, 1]
    return there.min(), there.max()


def test_the_envelope_is_the_range_of_running_geometric_means_over_seeds_and_steps():
    random = numpy.random.default_rng(7)
    losses = {(lr, seed): random.uniform(0.1, 9, 25) for lr in rates.RATES for seed in (0, 1)}
    train = pandas.concat(
        [rates.train(lr, loss, seed=seed, steps=25) for (lr, seed), loss in losses.items()]
    )
    data = envelope.learning_rate_envelope_data(train)
    assert list(data["step"]) == list(range(25))
    assert set(data["rates"]) == {rates.RATES} and set(data["runs"]) == {2}
    for step, low, high in data[["step", "low", "high"]].itertuples(index=False, name=None):
        window = slice(max(0, int(step) - 9), int(step) + 1)
        means = [
            numpy.prod(numpy.concatenate([losses[lr, 0][window], losses[lr, 1][window]]))
            ** (1 / (2 * min(step + 1, 10)))
            for lr in rates.RATES
        ]
        assert (low, high) == pytest.approx((min(means), max(means)), rel=1e-12)
    (axes,) = envelope.learning_rate_envelope(train).axes
    last = data.iloc[-1]
    assert _area(axes, 24) == pytest.approx((last["low"], last["high"]), rel=1e-12)
    assert axes.get_yscale() == "log" and axes.get_xlabel() == "step"


def test_the_envelope_says_that_it_is_not_the_landscape_along_the_gradient():
    figure = envelope.learning_rate_envelope(pandas.concat([rates.train(0.1), rates.train(0.5)]))
    words = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert "separately trained runs" in words and "not the landscape along the gradient" in words
    assert r"\{0.1, 0.5\}" in words
    (entry,) = [one for one in figures.FIGURES if one.name == "learning_rate_envelope"]
    (band,) = [one for one in figures.FIGURES if one.name == "loss_band"]
    assert "not the landscape along the gradient" in entry.caption
    assert f"“{band.title}”" in entry.caption and "separately trained" in entry.caption


def test_where_a_run_has_diverged_the_envelope_has_no_upper_end():
    train = pandas.concat(
        [
            rates.train(0.1, 2.0, steps=6),
            rates.train(0.5, [3.0, 3.0, math.nan], steps=3, status="diverged"),
            rates.train(0.5, 3.0, seed=1, steps=6),
        ]
    )
    data = envelope.learning_rate_envelope_data(train)
    assert data["low"].tolist() == pytest.approx([2] * 6)
    assert data["high"].tolist() == pytest.approx([3, 3, *[math.inf] * 4])
    figure = envelope.learning_rate_envelope(train)
    (axes,) = figure.axes
    assert rates.triangles(axes) == [2.0] and "a run diverged" in rates.legend(figure)
    assert _area(axes, 5)[0] == pytest.approx(2) and _area(axes, 5)[1] > 1e100
    assert axes.get_ylim()[1] < 10


def test_a_run_that_never_had_a_loss_leaves_the_envelope_of_the_others_unbounded():
    lost = rates.train(0.5, math.nan, steps=1, status="diverged")
    data = envelope.learning_rate_envelope_data(pandas.concat([rates.train(0.1, 2.0), lost]))
    assert data["low"].tolist() == pytest.approx([2] * 4)
    assert data["high"].tolist() == [math.inf] * 4


def test_an_envelope_ends_with_the_first_run_to_end_without_having_diverged():
    train = pandas.concat([rates.train(0.1), rates.train(0.5, 2.0, steps=2, status="interrupted")])
    data = envelope.learning_rate_envelope_data(train)
    assert data["step"].tolist() == [0, 1] and data["high"].tolist() == pytest.approx([2, 2])


def test_an_envelope_is_over_runs_that_differ_in_nothing_but_the_learning_rate():
    train = pandas.concat(
        [
            *(rates.train(lr, width=1.0) for lr in (0.1, 0.2)),
            # One learning rate of a norm, and two that differ in the width as well.
            rates.train(0.1, norm="none", width=1.0),
            rates.train(0.1, norm="l1", width=1.0),
            rates.train(0.2, norm="l1", width=2.0),
        ]
    )
    data = envelope.learning_rate_envelope_data(train)
    assert set(data["norm"]) == {"bn"} and set(data["condition"]) == {"width 1"}
    assert list(data["condition"].cat.categories) == ["width 1"]
    alone = envelope.learning_rate_envelope(train[train["norm"] == "l1"])
    assert rates.message(alone).startswith("No finite losses")


def test_many_normalisations_have_a_panel_each():
    train = pandas.concat(
        [rates.train(lr, lr, norm=norm) for lr in rates.RATES for norm in ("none", "bn", "l1")]
    )
    figure = envelope.learning_rate_envelope(train)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["none", "BN", "$L_1$"]
    for axes in figure.axes:
        assert _area(axes, 3) == pytest.approx((0.1, 0.4))
