"""The figure of the gap between batch and population statistics."""

import math

import numpy as np
import pandas as pd
import pytest
from artists import arrows, curve, dashed, legend, message

from bnkit.report import frames
from bnkit.report.figures import population_gap
from bnkit.report.runs import read_runs


def _records(batch, of_population, norm="bn", seed=0, **columns):
    batch = np.array(batch, dtype=float)
    return pd.DataFrame(
        {
            "run": f"{norm}{seed}",
            "norm": norm,
            "lr": 0.1,
            "seed": seed,
            "step": 50 * np.arange(len(batch)),
            "loss_batch_statistics": batch,
            "loss_population_statistics": of_population,
            **columns,
        }
    )


def test_the_gap_is_batch_less_population_with_its_sign():
    records = _records([2.0, 1.5, 0.5], [2.5, 1.25, 0.25])
    (axes,) = population_gap.ENTRY.draw(records).axes
    assert curve(axes, "bn")[1] == [-0.5, 0.25, 0.25]
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] < -0.5
    assert dashed(axes) == [0.0]


def test_a_gap_of_many_orders_of_magnitude_is_seen_on_both_sides():
    batch = [1000.0, 1.0, 0.01, -0.01]
    (axes,) = population_gap.ENTRY.draw(_records(batch, 0.0)).axes
    assert axes.get_yscale() == "symlog" and curve(axes, "bn")[1] == batch
    low, high = axes.get_ylim()
    assert low < -0.01 and high > 1000


def test_seeds_have_an_arithmetic_mean():
    both = pd.concat([_records([3.0], 1.0), _records([3.0], 4.0, seed=1)])
    data = population_gap.ENTRY.data(both)
    (mean,) = data.loc[data["series"] == "mean", "value"]
    assert mean == 0.5


def test_only_arms_with_moving_statistics_are_shown(runs):
    for norm in ("none", "bn", "layer", "l1"):
        runs(norm=norm, steps=100)
    records = frames.load_runs(runs.root, "eval")
    data = population_gap.ENTRY.data(records)
    assert set(data["norm"]) == {"bn", "l1"}
    assert legend(population_gap.ENTRY.draw(records)) == ["BN", "$L_1$"]


@pytest.mark.parametrize(("norm", "expected"), [("bn", True), ("none", False)])
def test_it_belongs_to_a_report_where_both_losses_were_recorded(runs, norm, expected):
    entry = population_gap.ENTRY
    found = read_runs(runs(norm=norm, steps=60))
    assert entry.applies(found) is expected
    assert (entry.missing({"eval": frames.frame(found, "eval")}) is None) is expected


def test_an_infinite_loss_is_an_arrow_and_none_at_all_is_said():
    (axes,) = population_gap.ENTRY.draw(_records([math.inf, 1.0], [1.0, 2.0])).axes
    assert arrows(axes) == [0.0]
    for lost in (_records([math.nan], math.nan), _records([], [])):
        assert message(population_gap.ENTRY.draw(lost)).startswith("No finite value")
