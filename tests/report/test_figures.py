"""Figures: what is read back from the artists is what was measured."""

import math

import numpy
import pandas
import pytest
from matplotlib.figure import Figure

from bnkit.report import ReportError, arms, figures, frames, landscape, shift, style


@pytest.fixture
def tables(runs):
    def load():
        found = frames.read_runs(runs.root)
        by_kind = {kind: frames.frame(found, kind) for kind in frames.FIELDS}
        return {**by_kind, "seconds": frames.seconds_frame(found)}

    return load


def _landscape(rows, norm="bn", run="r", seed=0, lr=0.1):
    """Rows of (step, loss, losses, distances, smoothness) on the grid 0.1, 0.2."""
    return pandas.DataFrame(
        [
            {
                "run": run,
                "norm": norm,
                "lr": lr,
                "seed": seed,
                "step": step,
                "step_size": size,
                "loss": loss,
                "loss_after_step": after,
                "gradient_distance": distance,
                "smoothness": smoothness,
            }
            for step, loss, losses, distances, smoothness in rows
            for size, after, distance in zip((0.1, 0.2), losses, distances, strict=True)
        ]
    )


HAND = _landscape([(0, 2.0, (1.0, 5.0), (3.0, 9.0), 30.0), (10, 1.0, (0.5, 2.0), (1.0, 4.0), 20.0)])


def _area(axes):
    return axes.collections[0].get_paths()[0].vertices


def _lines(axes, colour):
    return [
        line for line in axes.get_lines() if line.get_color() == colour and line.get_xdata().size
    ]


def test_loss_band_is_the_range_over_step_sizes():
    axes = figures.loss_band(HAND).axes[0]
    at_start = _area(axes)[_area(axes)[:, 0] == 0][:, 1]
    at_end = _area(axes)[_area(axes)[:, 0] == 10][:, 1]
    assert (at_start.min(), at_start.max()) == (1.0, 5.0)
    assert (at_end.min(), at_end.max()) == (0.5, 2.0)
    assert axes.get_yscale() == "log" and axes.get_xlim()[0] == 0
    assert axes.get_xlabel() == "step" and axes.get_ylabel() == "loss"
    drawn = [list(line.get_ydata()) for line in _lines(axes, style.colour("bn"))]
    assert [2.0, 1.0] in drawn


def test_gradient_predictiveness_is_the_range_of_distances():
    axes = figures.gradient_predictiveness(HAND).axes[0]
    at_start = _area(axes)[_area(axes)[:, 0] == 0][:, 1]
    assert (at_start.min(), at_start.max()) == (3.0, 9.0)
    assert axes.get_yscale() == "log"


def test_several_seeds_give_the_means_of_min_and_of_max():
    other = _landscape([(0, 4.0, (3.0, 7.0), (1, 2), 10.0)], run="s", seed=1)
    data = landscape.loss_band_data(pandas.concat([HAND, other]))
    # Step 10 has been probed in one of the two runs only.
    assert data[["step", "low", "high", "loss", "runs"]].to_numpy().tolist() == [[0, 2, 6, 3, 2]]


def test_a_loss_that_is_no_number_leaves_the_band_without_an_upper_end():
    broken = _landscape([(0, 2.0, (1.0, math.nan), (3.0, math.inf), math.inf)])
    data = landscape.loss_band_data(pandas.concat([HAND.query("step == 10"), broken]))
    assert data["high"].tolist() == [math.inf, 2.0] and data["low"].tolist() == [1.0, 0.5]
    axes = figures.loss_band(pandas.concat([HAND.query("step == 10"), broken])).axes[0]
    arrows = [line for line in axes.get_lines() if line.get_marker() == "^"]
    assert any(list(line.get_xdata()) == [0] for line in arrows)


def test_smoothness_has_its_plateau_at_two_over_the_learning_rate():
    both = pandas.concat([HAND, HAND.assign(lr=0.5, run="fast")])
    figure = figures.smoothness(both)
    panels = [axes for axes in figure.axes if axes.has_data()]
    assert [axes.get_title(loc="left") for axes in panels] == ["lr 0.1", "lr 0.5"]
    heights = [
        [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"]
        for axes in panels
    ]
    assert heights == [[20.0], [4.0]]
    assert panels[0].get_ylim() == panels[1].get_ylim()
    curve = _lines(panels[0], style.colour("bn"))[0]
    assert list(curve.get_ydata()) == [30.0, 20.0]


def test_training_curves_show_every_step_and_a_running_mean(runs, tables):
    runs(norm="bn", steps=60)
    loaded = tables()
    train, evaluation = loaded["train"], loaded["eval"]
    training, test = figures.accuracy(train, evaluation).axes[:2]
    raw, mean = _lines(training, style.colour("bn"))
    numpy.testing.assert_array_equal(raw.get_ydata(), train["accuracy"])
    expected = train["accuracy"].rolling(10, min_periods=1).mean()
    numpy.testing.assert_allclose(mean.get_ydata(), expected, rtol=1e-12)
    numpy.testing.assert_array_equal(
        _lines(test, style.colour("bn"))[0].get_ydata(), evaluation["accuracy"]
    )
    assert training.get_ylabel() == "accuracy" and training.get_yscale() == "linear"
    assert figures.loss(train, evaluation).axes[0].get_yscale() == "log"


def test_a_missing_value_is_a_gap_and_not_a_bridge():
    train = pandas.DataFrame(
        {
            "run": "r",
            "norm": "bn",
            "lr": 0.1,
            "seed": 0,
            "step": range(6),
            "loss": [1, 2, math.nan, 3, math.inf, 4],
            "accuracy": math.nan,
        }
    )
    axes = figures.loss(train, train.iloc[:0]).axes[0]
    raw = [line for line in _lines(axes, style.colour("bn")) if line.get_alpha() == 0.4]
    assert [list(line.get_ydata()) for line in raw] == [[1, 2], [3], [4]]
    # Nothing was measured of the accuracy: the figure says so.
    text = figures.accuracy(train, train.iloc[:0]).axes[0].texts[0].get_text()
    assert "No finite accuracy" in text


def test_the_mean_over_seeds_has_a_student_interval():
    frame = pandas.DataFrame(
        {
            "run": list("abc"),
            "norm": "bn",
            "lr": 0.1,
            "seed": [0, 1, 2],
            "step": 0,
            "x": [1.0, 2, 6],
        }
    )
    mean = arms.curves(arms.with_condition(frame), "x").query("series == 'mean'").iloc[0]
    half = 4.303 * numpy.std([1, 2, 6], ddof=1) / math.sqrt(3)
    assert (mean["value"], mean["runs"]) == (3.0, 3)
    assert mean["high"] - 3.0 == pytest.approx(half) and 3.0 - mean["low"] == pytest.approx(half)


def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(runs, tables):
    runs(seed=0, steps=30, width=0.25)
    runs(seed=1, steps=30, width=0.5)
    data = landscape.loss_band_data(tables()["landscape"])
    assert list(data["condition"].cat.categories) == ["lr 0.5, width 0.25", "lr 0.5, width 0.5"]
    assert set(data["runs"]) == {1}


def test_covariate_shift_shows_the_layers_of_the_paper(runs, tables):
    runs(steps=60)
    ics = tables()["ics"]
    figure = figures.covariate_shift(ics)
    titles = [axes.get_title(loc="left") for axes in figure.axes[::2]]
    assert [title.split(" ")[0] for title in titles] == ["conv2", "conv5", "dense10"]
    assert figure.axes[0].get_yscale() == "log" and figure.axes[1].get_yscale() == "linear"
    expected = ics.loc[ics["layer"] == "conv2", "l2"]
    drawn = _lines(figure.axes[0], style.colour("bn"))[0].get_ydata()
    numpy.testing.assert_allclose(drawn, expected, rtol=1e-12)


def test_the_first_layer_has_no_place_on_a_logarithmic_axis(runs, tables):
    runs(steps=60)
    ics = tables()["ics"]
    axes = figures.covariate_shift(ics, layers=["conv1"]).axes[0]
    assert "0 by definition" in axes.texts[0].get_text() and axes.get_yscale() == "linear"
    assert set(shift.covariate_shift_data(ics, ["conv1"])["quantity"]) == {"cosine"}
    with pytest.raises(
        ReportError, match=r"\['conv99'\] have not been measured; there are .*conv1"
    ):
        figures.covariate_shift(ics, layers=["conv99"])


def test_a_deep_network_shows_layers_9_and_17():
    ics = pandas.DataFrame(
        {"run": "r", "norm": "none", "lr": 1e-6, "seed": 0, "step": 0, "l2": 1.0, "cosine": 0.5}
        | {"layer": [f"dense{number}" for number in range(1, 26)]}
    )
    assert list(shift.covariate_shift_data(ics)["layer"].unique()) == [
        "dense17",
        "dense2",
        "dense9",
    ]


def test_a_diverged_run_ends_with_a_cross(runs, tables):
    runs(status="diverged", steps=60)
    loaded = tables()
    axes = figures.loss(loaded["train"], loaded["eval"]).axes[0]
    (cross,) = [one for one in axes.collections if len(one.get_offsets()) == 1]
    last = loaded["train"].iloc[-1]
    numpy.testing.assert_allclose(cross.get_offsets()[0], [last["step"], last["loss"]])


@pytest.mark.parametrize("entry", figures.FIGURES, ids=lambda entry: entry.name)
def test_no_figure_changes_its_input_or_the_style_of_others(runs, tables, entry):
    import matplotlib.pyplot

    for norm in ("none", "bn", "my.module:<$Norm_"):
        runs(norm=norm, lr=0.1, steps=60)
    loaded = tables()
    before = {kind: table.copy(deep=True) for kind, table in loaded.items()}
    style_before = dict(matplotlib.rcParams)
    assert entry.missing(loaded) is None
    figure = entry.draw(*[loaded[kind] for kind in entry.kinds])
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    for kind in entry.kinds:
        pandas.testing.assert_frame_equal(loaded[kind], before[kind])
    assert dict(matplotlib.rcParams) == style_before
    assert matplotlib.pyplot.get_fignums() == []


@pytest.mark.parametrize("entry", figures.FIGURES, ids=lambda entry: entry.name)
def test_without_a_value_every_figure_says_so(runs, tables, entry):
    runs(steps=60)
    loaded = tables()
    for kind in entry.kinds:
        numeric = loaded[kind].select_dtypes(float).columns.difference(["lr", "step_size", "width"])
        loaded[kind].loc[:, numeric] = math.nan
    if entry.name == "time_spent":
        loaded["seconds"] = loaded["seconds"].iloc[:0]
    assert entry.missing(loaded) == entry.kinds[0]
    axes = entry.draw(*[loaded[kind] for kind in entry.kinds]).axes[0]
    assert axes.texts[0].get_text().startswith("No ")


def test_time_spent_stacks_to_the_total(runs, tables):
    runs(steps=30)
    seconds = tables()["seconds"]
    axes = figures.time_spent(seconds).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert max(ends) == pytest.approx(seconds["seconds"].sum())
    assert axes.get_xlabel() == "wall-clock time (s)"


def test_every_normalisation_keeps_its_colour():
    assert len(set(style.COLOURS.values())) == len(style.COLOURS) == len(style.LABELS)
    assert style.colour("my.module:Norm") == style.colour("my.module:Norm")
    assert style.colour("my.module:Norm") not in style.COLOURS.values()
