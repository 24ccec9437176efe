"""The figures of the weight layers."""

import math

import numpy
import pandas
import pytest

from bnkit.report import load_runs
from bnkit.report.drawing import style
from bnkit.report.figures import weights


def _records(steps=(0, 10), layers=25, norm="bn", seed=0, **columns):
    """A run whose gradient norm is `1000 * step + layer number`."""
    rows = [
        {
            "run": f"{norm}{seed}",
            "norm": norm,
            "lr": 0.1,
            "seed": seed,
            "step": step,
            "layer": f"dense{number}",
            "effective_lr": 0.1 / number,
            "angular_update": 0.01 * number,
            "radial_share": 0.5,
            "gradient_norm": 1000.0 * step + number,
            **columns,
        }
        for step in steps
        for number in range(1, layers + 1)
    ]
    return pandas.DataFrame(rows)


def _curve(axes, norm):
    (line,) = [
        one
        for one in axes.get_lines()
        if one.get_color() == style.colour(norm) and one.get_alpha() is None
    ]
    return list(line.get_xdata()), line.get_ydata()


def test_effective_lr_and_angle_of_the_layers_of_the_paper(runs):
    records = load_runs(runs(steps=60), "weights")
    figure = weights.effective_lr(records)
    panels = numpy.reshape(figure.axes, (3, 2))
    titles = [axes.get_title(loc="left").split(",")[0] for axes in panels[:, 0]]
    assert titles == ["conv2 (layer 2)", "conv5 (layer 5)", "dense10 (layer 10)"]
    for row, layer in zip(panels, ("conv2", "conv5", "dense10"), strict=True):
        there = records[records["layer"] == layer]
        for axes, column in zip(row, ("effective_lr", "angular_update"), strict=True):
            steps, values = _curve(axes, "bn")
            assert steps == [0, 25, 50] and axes.get_yscale() == "log"
            numpy.testing.assert_allclose(values, there[column], rtol=1e-12)
    data = weights.effective_lr_data(records)
    assert set(data["layer"]) == {"conv2", "conv5", "dense10"}


def test_every_condition_shows_its_own_layers(runs):
    runs(steps=60)
    runs(steps=60, model="dln")
    records = load_runs(runs.root, "weights")
    shown = [axes for axes in weights.effective_lr(records).axes if axes.get_title(loc="left")]
    layers = [axes.get_title(loc="left").split(" ")[0] for axes in shown]
    assert sorted(layers) == ["conv2", "conv5", "dense10", "dense17", "dense9"]


def test_radial_shares_stand_side_by_side_from_rounding_to_1():
    records = _records(layers=3, radial_share=1e-30)
    figure = weights.radial_share(records)
    assert len(figure.axes) == 2
    for axes in figure.axes:
        numpy.testing.assert_allclose(_curve(axes, "bn")[1], [1e-14, 1e-14])
        assert axes.get_ylim()[0] < 1e-14 and 1 < axes.get_ylim()[1] < 100
    data = weights.radial_share_data(_records(layers=3, radial_share=0.0))
    assert data["value"].tolist() == pytest.approx([1e-14] * 4)
    kept = weights.radial_share_data(_records(layers=3, radial_share=0.25))
    assert kept["value"].tolist() == pytest.approx([0.25] * 4)


def test_a_share_that_is_no_number_stays_none():
    records = _records(layers=3)
    records.loc[records["step"] == 10, "radial_share"] = math.nan
    data = weights.radial_share_data(records)
    assert data.loc[data["step"] == 10, "value"].isna().all()
    assert data.loc[data["step"] == 0, "value"].notna().all()


def test_gradient_norm_against_the_layer_number_first_and_last():
    figure = weights.gradient_norm_over_depth(_records(steps=(0, 5, 20)))
    first, last = figure.axes
    assert [axes.get_title(loc="left") for axes in (first, last)] == [
        "step 0, lr 0.1",
        "step 20, lr 0.1",
    ]
    for axes, offset in ((first, 0), (last, 20_000)):
        numbers, values = _curve(axes, "bn")
        assert numbers == list(range(1, 26)) and axes.get_yscale() == "log"
        numpy.testing.assert_allclose(values, offset + numpy.arange(1, 26), rtol=1e-12)
    assert list(first.get_xticks()) == [1, 5, 9, 13, 17, 21, 25]
    assert first.get_xlabel() == "layer" and first.get_ylim() == last.get_ylim()


def test_one_capture_is_shown_once():
    assert len(weights.gradient_norm_over_depth(_records(steps=(0,))).axes) == 1


def test_a_mean_over_the_depth_is_of_all_runs_of_the_arm():
    records = pandas.concat(
        [
            _records(steps=(0, 10, 20), layers=2),
            _records(steps=(0, 10), layers=2, seed=1),
            _records(steps=(0, 10), layers=2, norm="none"),
        ]
    )
    data = weights.gradient_norm_over_depth_data(records)
    assert sorted(data["step"].unique()) == [0, 10]
    means = data[data["series"] == "mean"]
    assert set(means.loc[means["norm"] == "bn", "runs"]) == {2}
    # Where another arm goes on, it does so alone.
    longer = pandas.concat([records, _records(steps=(20,), layers=2, norm="none")])
    data = weights.gradient_norm_over_depth_data(longer)
    assert set(data.loc[data["step"] == 20, "norm"]) == {"none"}


@pytest.mark.parametrize(
    "draw", [weights.effective_lr, weights.radial_share, weights.gradient_norm_over_depth]
)
def test_without_records_the_figure_says_so(draw):
    text = draw(_records().iloc[:0]).axes[0].texts[0].get_text()
    assert text.startswith("No finite value")
