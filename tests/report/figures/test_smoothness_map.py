"""The map of the smoothness, against numbers worked out by hand."""

import math

import pandas as pd
import pytest
import rates
from artists import legend, message

from bnkit.report.figures import smoothness_map
from bnkit.report.runs import read_runs

GRID = {
    **{("bn", lr, seed): (0.9, "done", 20.0 * 4**seed) for lr in rates.RATES for seed in (0, 1)},
    **{("none", lr, seed): (0.9, "done", 30.0) for lr in rates.RATES for seed in (0, 1)},
}
STUCK = (0.1, "done", 0.01)


def _map(cells):
    """Frames of a run per cell: (norm, lr, seed) -> (accuracy, status, smoothness after 100)."""
    trains, probes = [], []
    for (norm, lr, seed), (accuracy, status, peak) in cells.items():
        train = rates.train(
            lr, accuracy=accuracy, norm=norm, seed=seed, steps=160, status=status, classes=10.0
        )
        trains.append(train)
        probes.append(rates.landscape(train, [1e6, 1e6, peak, peak / 2]))
    return pd.concat(probes), pd.concat(trains)


def _value(data, norm, lr):
    (row,) = data[(data["norm"] == norm) & (data["lr"] == lr)].itertuples()
    return row


def test_a_map_has_the_geometric_mean_of_the_peaks_after_the_start_over_the_plateau():
    tables = _map(GRID)
    data = smoothness_map.ENTRY.data(*tables)
    for lr in rates.RATES:
        assert _value(data, "bn", lr).value == pytest.approx(40 * lr / 2)
        assert _value(data, "none", lr).value == pytest.approx(30 * lr / 2)
    assert set(data["runs"]) == set(data["trained"]) == {2} and set(data["diverged"]) == {0}
    (axes,) = smoothness_map.ENTRY.draw(*tables).axes
    written = {(text.get_text(), *text.get_position()) for text in axes.texts}
    none = [("$1.5$", 0.5, 0.5), ("$3.0$", 1.5, 0.5), ("$6.0$", 2.5, 0.5)]
    assert written == {*none, ("$2.0$", 0.5, 1.5), ("$4.0$", 1.5, 1.5), ("$8.0$", 2.5, 1.5)}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "BN"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["$0.1$", "$0.2$", "$0.4$"]
    assert not axes.patches


def test_cells_that_do_not_train_are_hatched_and_those_that_diverged_crossed():
    cells = {
        **GRID,
        **{("none", 0.2, seed): STUCK for seed in (0, 1)},
        **{("none", 0.4, seed): (0.9, "diverged", 1e9) for seed in (0, 1)},
        ("bn", 0.4, 1): STUCK,
    }
    tables = _map(cells)
    data = smoothness_map.ENTRY.data(*tables)
    stuck, lost, partly = (
        _value(data, *cell) for cell in (("none", 0.2), ("none", 0.4), ("bn", 0.4))
    )
    assert (stuck.trained, stuck.diverged) == (0, 0) and math.isnan(stuck.value)
    assert (lost.trained, lost.diverged) == (0, 2) and math.isnan(lost.value)
    assert (partly.runs, partly.trained) == (2, 1) and partly.value == pytest.approx(20 * 0.4 / 2)
    figure = smoothness_map.ENTRY.draw(*tables)
    (axes,) = figure.axes
    hatched = sorted(patch.get_x() // 1 for patch in axes.patches)
    assert hatched == [1, 2] and all(
        patch.get_hatch() and patch.get_y() < 1 for patch in axes.patches
    )
    _, crosses = axes.collections
    assert crosses.get_offsets().tolist() == [[2.5, 0.5]]
    texts = [text.get_text() for text in axes.texts]
    assert "$4.0$\n1 of 2" in texts and len(texts) == 4
    assert legend(figure) == ["does not train", "diverged"]


def test_an_unbounded_peak_is_written_as_such_and_what_was_not_probed_not_at_all():
    tables = _map({**GRID, ("bn", 0.1, 0): (0.9, "done", math.inf)})
    landscape, train = tables
    unprobed = (landscape["norm"] == "none") & (landscape["lr"] == 0.1) & (landscape["step"] > 50)
    landscape = landscape[~unprobed]
    data = smoothness_map.ENTRY.data(landscape, train)
    assert _value(data, "bn", 0.1).value == math.inf
    assert math.isnan(_value(data, "none", 0.1).value)
    (axes,) = smoothness_map.ENTRY.draw(landscape, train).axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written[0.5, 1.5] == r"$\infty$" and not written.get((0.5, 0.5))
    assert not axes.patches and len(written) >= 5


def test_a_map_needs_two_normalisations_at_three_learning_rates():
    for left_out in (lambda cell: cell[0] == "none", lambda cell: cell[1] == 0.4):
        tables = _map({cell: one for cell, one in GRID.items() if not left_out(cell)})
        assert len(smoothness_map.ENTRY.data(*tables)) == 0
        assert message(smoothness_map.ENTRY.draw(*tables)).startswith("No finite peak")


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, True), ({"schedule": "cosine"}, False), ({"warmup": 9}, False)]
)
def test_with_a_schedule_there_is_no_plateau_to_measure_by(runs, settings, expected):
    for norm in ("none", "bn"):
        for lr in (0.1, 0.2, 0.5):
            runs(norm=norm, lr=lr, steps=30, **settings)
    assert smoothness_map.ENTRY.applies(read_runs(runs.root)) is expected
