"""Figures: what is read back from the artists is what was measured."""

import math

import numpy
import pandas
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bnkit import kinds
from bnkit.report import ReportError, figures, frames
from bnkit.report.drawing import canvas, style
from bnkit.report.figures import landscape, shift, step_size
from bnkit.report.runs import read_runs
from bnkit.report.statistics import arms


@pytest.fixture
def tables(runs):
    def load():
        found = read_runs(runs.root)
        by_kind = {kind: frames.frame(found, kind) for kind in kinds.KINDS}
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


def _arrows(axes):
    """Where a triangle at the top says that a value is infinite."""
    found = [line.get_xdata() for line in axes.get_lines() if line.get_marker() == "^"]
    return sorted({float(x) for one in found for x in one})


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
    assert 0 in _arrows(axes)
    at_start = _area(axes)[_area(axes)[:, 0] == 0][:, 1]
    assert at_start.min() == 1.0 and at_start.max() > axes.get_ylim()[1]
    assert axes.get_ylim()[1] < 10


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


def test_the_running_mean_goes_by_step_whatever_lies_between_two_records():
    def mean(steps, values):
        frame = pandas.DataFrame(
            {"run": "r", "norm": "bn", "lr": 0.1, "seed": 0, "step": steps, "x": values}
        )
        drawn = arms.curves(arms.with_condition(frame), "x", window=10)
        return list(drawn.query("series == 'mean'")["value"])

    # As of epochs: nothing else lies within ten steps.
    assert mean([99, 199, 299], [1.0, 2.0, 6.0]) == [1, 2, 6]
    # This step and the nine before it, by hand.
    assert mean([0, 5, 9, 10], [1.0, 3.0, 8.0, 4.0]) == [1, 2, 4, 5]


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
    assert list(shift.covariate_shift_data(ics)["layer"].unique()) == ["dense17", "dense9"]
    most = ics["layer"].isin([f"dense{number}" for number in range(1, 17)])
    layers = shift.covariate_shift_data(ics[most])["layer"].unique()
    assert sorted(layers) == ["dense10", "dense2", "dense5"]


def _directions(*pairs):
    """Rows for several directions of each step: HAND with `losses` and `smoothness` changed."""
    return pandas.concat(
        [
            HAND.assign(direction=float(number), smoothness=smoothness)
            .assign(loss_after_step=HAND["loss_after_step"] * factor)
            .assign(gradient_distance=HAND["gradient_distance"] * factor)
            for number, (factor, smoothness) in enumerate(pairs)
        ]
    )


def test_random_bands_are_over_the_directions_too():
    random = _directions((1.0, 7.0), (3.0, 5.0), (0.5, 6.0))
    expected = {"random_loss_band": (0.5, 15.0), "random_gradient_predictiveness": (1.5, 27.0)}
    for name, extremes in expected.items():
        (entry,) = [one for one in figures.FIGURES if one.name == name]
        axes = entry.draw(random).axes[0]
        at_start = _area(axes)[_area(axes)[:, 0] == 0][:, 1]
        assert (at_start.min(), at_start.max()) == extremes
        data = entry.data(random)
        assert (data["low"][0], data["high"][0]) == extremes and list(data["step"]) == [0, 10]


def test_random_smoothness_is_the_largest_of_the_directions_without_a_plateau():
    (entry,) = [one for one in figures.FIGURES if one.name == "random_smoothness"]
    figure = entry.draw(_directions((1.0, 7.0), (1.0, 9.0), (1.0, 8.0)))
    (curve,) = _lines(figure.axes[0], style.colour("bn"))
    assert list(curve.get_ydata()) == [9.0, 9.0]
    assert not [one for one in figure.axes[0].get_lines() if one.get_linestyle() == "--"]
    assert any("3 at each step" in text.get_text() for text in figure.texts)


def test_smoothness_without_a_gradient_is_unbounded_and_of_no_gradient_is_none():
    random = _directions((1.0, 7.0), (math.nan, math.nan))
    assert list(arms.largest_smoothness(random)["smoothness"]) == [math.inf, math.inf]
    flat = HAND.assign(gradient_distance=0.0, smoothness=math.nan)
    assert arms.largest_smoothness(flat)["smoothness"].isna().all()


def test_distance_and_loss_over_the_step_size():
    first, last = HAND.query("step == 0"), HAND.query("step == 10")
    middle = [last.assign(step=step) for step in (4, 6)]
    figure = figures.distance_over_step_size(pandas.concat([first, *middle, last]))
    distances, losses = numpy.reshape(figure.axes, (2, 3))
    titles = [axes.get_title(loc="left") for axes in distances]
    assert titles == ["step 0, lr 0.1", "step 4, lr 0.1", "step 10, lr 0.1"]
    for axes, drawn in ((distances[0], [3, 9]), (losses[0], [1, 5]), (losses[2], [0.5, 2])):
        (curve,) = _lines(axes, style.colour("bn"))
        assert list(curve.get_xdata()) == [0.1, 0.2]
        numpy.testing.assert_allclose(curve.get_ydata(), drawn)
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        # The learning rate is on the grid.
        assert [one.get_xdata()[0] for one in axes.get_lines() if one.get_linestyle() == "--"] == [
            0.1
        ]
    assert losses[0].get_ylim() == losses[2].get_ylim() != distances[0].get_ylim()
    assert losses[0].get_xlabel() == "step size $s$"


def test_one_probed_step_is_shown_once_and_a_lost_value_as_an_arrow():
    broken = _landscape([(0, 2.0, (1.0, math.nan), (3.0, math.inf), math.inf)])
    figure = figures.distance_over_step_size(broken)
    assert [_arrows(axes) for axes in figure.axes] == [[0.2], [0.2]]
    assert set(step_size.distance_over_step_size_data(broken)["time"]) == {"first"}


def test_losses_over_many_decades_stay_legible(runs, tables):
    for norm in ("none", "bn"):
        runs(model="dln", norm=norm, steps=300)
    loaded = tables()
    axes = figures.loss_band(loaded["landscape"]).axes[0]
    low, high = axes.get_ylim()
    assert low < 8e3 and 1e19 < high < 1e22
    axes.figure.draw_without_rendering()
    shown = [tick for tick in axes.yaxis.get_majorticklocs() if low <= tick <= high]
    assert 4 <= len(shown) <= 8
    assert _arrows(axes) == [0.0]
    plateau = figures.smoothness(loaded["landscape"]).axes[0]
    dashed = [line.get_ydata()[0] for line in plateau.get_lines() if line.get_linestyle() == "--"]
    assert dashed == [2e6] and _arrows(plateau) == [0.0]
    curves = figures.loss(loaded["train"], loaded["eval"]).axes
    assert [axes.get_yscale() for axes in curves] == ["log", "log"]


def test_a_spike_of_one_step_in_ten_thousand_is_in_the_picture():
    values = numpy.ones(10_000)
    values[4321] = 100.0
    page = canvas.Canvas("", 1, 1, [])
    axes = page.axes[0, 0]
    canvas.line(axes, numpy.arange(10_000), values, color="black", linewidth=0.6)
    drawing = FigureCanvasAgg(page.figure)
    drawing.draw()
    # Rows of pixels from the bottom, as matplotlib counts them; dark is low.
    darkness = numpy.asarray(drawing.buffer_rgba())[::-1, :, 0]
    x, y = axes.transData.transform((4321, 99.0)).astype(int)
    assert darkness[y, x - 1 : x + 2].min() < 160


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
    runs(model="dln", norm="none", steps=60)
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
        kept = ["lr", "step_size", "width", "direction"]
        numeric = loaded[kind].select_dtypes(float).columns.difference(kept)
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


@pytest.mark.parametrize(
    ("settings", "levels"), [({}, [4.0]), ({"momentum": 0.9}, []), ({"optimizer": "adam"}, [])]
)
def test_the_plateau_is_that_of_plain_gradient_descent_alone(runs, tables, settings, levels):
    runs(norm="bn", lr=0.5, steps=60, kinds=("landscape",), **settings)
    drawn = landscape.smoothness_data(tables()["landscape"])
    assert list(drawn.loc[drawn["series"] == "2/lr", "value"]) == levels
