"""The figure of the gap between batch and population statistics."""

import math

import numpy
import pandas
import pytest

from bnkit.report import figures, frames
from bnkit.report.drawing import style
from bnkit.report.figures import population
from bnkit.report.runs import read_runs


def _records(batch, of_population, norm="bn", seed=0, **columns):
    batch = numpy.array(batch, dtype=float)
    return pandas.DataFrame(
        {
            "run": f"{norm}{seed}",
            "norm": norm,
            "lr": 0.1,
            "seed": seed,
            "step": 50 * numpy.arange(len(batch)),
            "loss_batch_statistics": batch,
            "loss_population_statistics": of_population,
            **columns,
        }
    )


def _curve(axes, norm):
    (line,) = [
        one
        for one in axes.get_lines()
        if one.get_color() == style.colour(norm) and one.get_alpha() is None
    ]
    return list(line.get_ydata())


def test_the_gap_is_batch_less_population_with_its_sign():
    records = _records([2.0, 1.5, 0.5], [2.5, 1.25, 0.25])
    (axes,) = population.population_gap(records).axes
    assert _curve(axes, "bn") == [-0.5, 0.25, 0.25]
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] < -0.5
    dashed = [one for one in axes.get_lines() if one.get_linestyle() == "--"]
    assert [set(one.get_ydata()) for one in dashed] == [{0.0}]


def test_a_gap_of_many_orders_of_magnitude_is_seen_on_both_sides():
    batch = [1000.0, 1.0, 0.01, -0.01]
    (axes,) = population.population_gap(_records(batch, 0.0)).axes
    assert axes.get_yscale() == "symlog" and _curve(axes, "bn") == batch
    low, high = axes.get_ylim()
    assert low < -0.01 and high > 1000


def test_seeds_have_an_arithmetic_mean():
    both = pandas.concat([_records([3.0], 1.0), _records([3.0], 4.0, seed=1)])
    data = population.population_gap_data(both)
    (mean,) = data.loc[data["series"] == "mean", "value"]
    assert mean == 0.5


def test_only_arms_with_moving_statistics_are_shown(runs):
    for norm in ("none", "bn", "layer", "l1"):
        runs(norm=norm, steps=100)
    records = frames.load_runs(runs.root, "eval")
    data = population.population_gap_data(records)
    assert set(data["norm"]) == {"bn", "l1"}
    legend = population.population_gap(records).legends[0].get_texts()
    assert [text.get_text() for text in legend] == ["BN", "$L_1$"]


@pytest.mark.parametrize(("norm", "expected"), [("bn", True), ("none", False)])
def test_it_belongs_to_a_report_where_both_losses_were_recorded(runs, norm, expected):
    (entry,) = [one for one in figures.FIGURES if one.name == "population_gap"]
    found = read_runs(runs(norm=norm, steps=60))
    assert entry.applies(found) is expected
    assert (entry.missing({"eval": frames.frame(found, "eval")}) is None) is expected


def test_an_infinite_loss_is_an_arrow_and_none_at_all_is_said():
    (axes,) = population.population_gap(_records([math.inf, 1.0], [1.0, 2.0])).axes
    arrows = [one for one in axes.get_lines() if one.get_marker() == "^"]
    assert [list(one.get_xdata()) for one in arrows] == [[0]]
    for lost in (_records([math.nan], math.nan), _records([], [])):
        text = population.population_gap(lost).axes[0].texts[0].get_text()
        assert text.startswith("No finite value")
