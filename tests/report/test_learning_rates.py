"""The figures over learning rates, against numbers worked out by hand."""

import itertools
import math

import numpy
import pandas
import pytest

from bnkit.report import arms, envelope, figures, frames, largest_rate, load_runs, rate_map, style

NAMES = ("largest_learning_rate", "learning_rate_envelope", "smoothness_map")
RATES = (0.1, 0.2, 0.4)


def _train(lr, loss=1.0, accuracy=math.nan, norm="bn", seed=0, steps=4, status="done", **settings):
    """A run whose `loss` and `accuracy` are one number, or one for each of its steps."""
    classes = settings.pop("classes", 10.0)
    names = {"norm": norm, "lr": lr, "seed": seed, **settings}
    loss, accuracy = (numpy.broadcast_to(one, steps).astype(float) for one in (loss, accuracy))
    return pandas.DataFrame(
        {
            "study": "main",
            "run": " ".join(map(str, names.values())),
            "status": status,
            **names,
            "step": numpy.arange(steps),
            "loss": loss,
            "accuracy": accuracy,
            "classes": classes,
        }
    )


def _landscape(train, smoothness):
    """Probes of a run at steps 0, 50, 100 and 150."""
    first = train.drop(columns=["step", "loss", "accuracy", "classes"]).iloc[[0] * 4]
    return first.assign(step=[0, 50, 100, 150], smoothness=smoothness, gradient_distance=1.0)


def _area(axes, step):
    vertices = axes.collections[0].get_paths()[0].vertices
    there = vertices[vertices[:, 0] == step][:, 1]
    return there.min(), there.max()


def _triangles(axes):
    found = [line.get_xdata() for line in axes.get_lines() if line.get_marker() == "^"]
    return [float(x) for one in found for x in one]


def _dots(axes, norm):
    lines = [one for one in axes.get_lines() if one.get_color() == style.colour(norm)]
    (dots,) = [one for one in lines if one.get_marker() == "o"]
    return dots.get_xydata()


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _message(figure):
    return figure.axes[0].texts[0].get_text()


def test_without_the_learning_rate_a_condition_is_what_else_differs():
    alike = pandas.concat([_train(0.1), _train(0.2, seed=1, norm="none")])
    assert set(arms.with_condition(alike, lr=False)["condition"]) == {""}
    other = pandas.concat([_train(lr, width=width) for lr in (0.1, 0.2) for width in (0.5, 1.0)])
    labelled = arms.with_condition(other, lr=False)
    assert list(labelled["condition"].cat.categories) == ["width 0.5", "width 1"]
    assert (labelled["condition"] == labelled["width"].map("width {:g}".format)).all()
    assert len(arms.with_condition(alike.iloc[:0], lr=False)) == 0


def test_training_records_have_the_number_of_classes(runs):
    runs(steps=30), runs(steps=30, model="dln")
    classes = load_runs(runs.root, "train").groupby("model")["classes"].agg(["min", "max"])
    assert classes.loc["vgg11"].tolist() == [10, 10] and classes.loc["dln"].isna().all()


def test_the_envelope_is_the_range_of_running_geometric_means_over_seeds_and_steps():
    random = numpy.random.default_rng(7)
    losses = {(lr, seed): random.uniform(0.1, 9, 25) for lr in RATES for seed in (0, 1)}
    train = pandas.concat(
        [_train(lr, loss, seed=seed, steps=25) for (lr, seed), loss in losses.items()]
    )
    data = envelope.learning_rate_envelope_data(train)
    assert list(data["step"]) == list(range(25))
    assert set(data["rates"]) == {RATES} and set(data["runs"]) == {2}
    for step, low, high in data[["step", "low", "high"]].itertuples(index=False, name=None):
        window = slice(max(0, int(step) - 9), int(step) + 1)
        means = [
            numpy.prod(numpy.concatenate([losses[lr, 0][window], losses[lr, 1][window]]))
            ** (1 / (2 * min(step + 1, 10)))
            for lr in RATES
        ]
        assert (low, high) == pytest.approx((min(means), max(means)), rel=1e-12)
    (axes,) = envelope.learning_rate_envelope(train).axes
    last = data.iloc[-1]
    assert _area(axes, 24) == pytest.approx((last["low"], last["high"]), rel=1e-12)
    assert axes.get_yscale() == "log" and axes.get_xlabel() == "step"


def test_the_envelope_says_that_it_is_not_the_landscape_along_the_gradient():
    figure = envelope.learning_rate_envelope(pandas.concat([_train(0.1), _train(0.5)]))
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
            _train(0.1, 2.0, steps=6),
            _train(0.5, [3.0, 3.0, math.nan], steps=3, status="diverged"),
            _train(0.5, 3.0, seed=1, steps=6),
        ]
    )
    data = envelope.learning_rate_envelope_data(train)
    assert data["low"].tolist() == pytest.approx([2] * 6)
    assert data["high"].tolist() == pytest.approx([3, 3, *[math.inf] * 4])
    figure = envelope.learning_rate_envelope(train)
    (axes,) = figure.axes
    assert _triangles(axes) == [2.0] and "a run diverged" in _legend(figure)
    assert _area(axes, 5)[0] == pytest.approx(2) and _area(axes, 5)[1] > 1e100
    assert axes.get_ylim()[1] < 10


def test_a_run_that_never_had_a_loss_leaves_the_envelope_of_the_others_unbounded():
    lost = _train(0.5, math.nan, steps=1, status="diverged")
    data = envelope.learning_rate_envelope_data(pandas.concat([_train(0.1, 2.0), lost]))
    assert data["low"].tolist() == pytest.approx([2] * 4)
    assert data["high"].tolist() == [math.inf] * 4


def test_an_envelope_ends_with_the_first_run_to_end_without_having_diverged():
    train = pandas.concat([_train(0.1), _train(0.5, 2.0, steps=2, status="interrupted")])
    data = envelope.learning_rate_envelope_data(train)
    assert data["step"].tolist() == [0, 1] and data["high"].tolist() == pytest.approx([2, 2])


def test_an_envelope_is_over_runs_that_differ_in_nothing_but_the_learning_rate():
    train = pandas.concat(
        [
            *(_train(lr, width=1.0) for lr in (0.1, 0.2)),
            # One learning rate of a norm, and two that differ in the width as well.
            _train(0.1, norm="none", width=1.0),
            _train(0.1, norm="l1", width=1.0),
            _train(0.2, norm="l1", width=2.0),
        ]
    )
    data = envelope.learning_rate_envelope_data(train)
    assert set(data["norm"]) == {"bn"} and set(data["condition"]) == {"width 1"}
    assert list(data["condition"].cat.categories) == ["width 1"]
    alone = envelope.learning_rate_envelope(train[train["norm"] == "l1"])
    assert _message(alone).startswith("No finite losses")


def test_many_normalisations_have_a_panel_each():
    train = pandas.concat(
        [_train(lr, lr, norm=norm) for lr in RATES for norm in ("none", "bn", "l1")]
    )
    figure = envelope.learning_rate_envelope(train)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["none", "BN", "$L_1$"]
    for axes in figure.axes:
        assert _area(axes, 3) == pytest.approx((0.1, 0.4))


def _final(accuracies, norm="bn", seed=0, **columns):
    """Runs of 60 steps at `RATES`: accuracy 0.9 for ten of them, then the one given."""
    return pandas.concat(
        [
            _train(lr, accuracy=[0.9] * 10 + [one] * 50, norm=norm, seed=seed, steps=60, **columns)
            for lr, one in zip(RATES, accuracies, strict=True)
        ]
    )


def test_final_accuracy_is_that_of_the_last_50_steps_and_the_line_the_mean_over_seeds():
    train = pandas.concat([_final((0.8, 0.6, 0.3)), _final((0.6, 0.6, 0.1), seed=1)])
    data = largest_rate.largest_learning_rate_data(train)
    means = data[data["series"] == "mean"]
    assert means["lr"].tolist() == list(RATES) and set(means["runs"]) == {2}
    assert means["value"].tolist() == pytest.approx([0.7, 0.6, 0.2])
    single = data[data["series"] == "run"].sort_values(["seed", "lr"])
    assert single["value"].tolist() == pytest.approx([0.8, 0.6, 0.3, 0.6, 0.6, 0.1])
    assert data.loc[data["series"] == "guessing", "value"].tolist() == [0.1]
    (axes,) = largest_rate.largest_learning_rate(train).axes
    numpy.testing.assert_allclose(sorted(_dots(axes, "bn")[:, 1]), sorted(single["value"]))
    (dashed,) = [one for one in axes.get_lines() if one.get_linestyle() == "--"]
    assert set(dashed.get_ydata()) == {0.1} and axes.get_ylabel() == "training accuracy"
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "learning rate"
    assert list(axes.get_xticks()) == list(RATES)


def test_dots_of_arms_stand_beside_each_other_and_near_their_learning_rate():
    norms = ("none", "bn", "l1", "l2", "linf")
    train = pandas.concat([_final((1.0, 1.0, 1.0), norm=norm) for norm in norms])
    (axes,) = largest_rate.largest_learning_rate(train).axes
    places = numpy.log([_dots(axes, norm)[:, 0] for norm in norms])
    assert (numpy.diff(places, axis=0) > 0).all()
    numpy.testing.assert_allclose(places.mean(axis=0), numpy.log(RATES))
    assert numpy.abs(places - numpy.log(RATES)).max() < 0.05


def test_a_run_that_diverged_counts_as_guessing_with_a_cross():
    train = pandas.concat([_final((0.8, 0.8, 0.8), classes=4.0), _final((0.6,) * 3, seed=1)])
    train["classes"] = 4.0
    ended = (train["seed"] == 1) & (train["lr"] == 0.4)
    train = train.assign(status=train["status"].mask(ended, "diverged"))
    data = largest_rate.largest_learning_rate_data(train)
    (diverged,) = data[data["series"] == "diverged"].itertuples()
    assert (diverged.lr, diverged.seed, diverged.value) == (0.4, 1, 0.25)
    mean = data[(data["series"] == "mean") & (data["lr"] == 0.4)]
    assert mean["value"].tolist() == pytest.approx([(0.8 + 0.25) / 2])
    figure = largest_rate.largest_learning_rate(train)
    (crosses,) = figure.axes[0].collections
    numpy.testing.assert_allclose(crosses.get_offsets(), [[0.4, 0.25]])
    assert "diverged" in _legend(figure) and len(_dots(figure.axes[0], "bn")) == 5


def test_of_a_regression_it_is_the_loss_and_infinite_where_a_run_diverged():
    train = pandas.concat(
        [
            *(_train(lr, 2.0, classes=math.nan) for lr in RATES),
            *(_train(lr, 8.0, seed=1, classes=math.nan) for lr in RATES[:2]),
            _train(0.4, 8.0, seed=1, classes=math.nan, status="diverged"),
        ]
    )
    data = largest_rate.largest_learning_rate_data(train)
    means = data.loc[data["series"] == "mean", "value"].tolist()
    assert means == pytest.approx([4, 4, math.inf]) and set(data["quantity"]) == {"loss"}
    assert "guessing" not in set(data["series"])
    figure = largest_rate.largest_learning_rate(train)
    (axes,) = figure.axes
    assert _triangles(axes) == [0.4] and "infinite" in _legend(figure)
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "training loss")


def test_runs_that_have_not_ended_have_no_final_value():
    train = pandas.concat([_final((0.8, 0.8, 0.8)), _final((0.1,) * 3, seed=1, status="running")])
    data = largest_rate.largest_learning_rate_data(train)
    assert set(data["runs"].dropna()) == {1} and set(data["seed"].dropna()) == {0}
    text = _message(largest_rate.largest_learning_rate(train[train["seed"] == 1]))
    assert text.startswith("No finite values")


def test_accuracies_and_losses_have_panels_of_their_own():
    linear = [_train(lr, 2.0, classes=math.nan, width=9.0) for lr in RATES]
    train = pandas.concat([_final((0.8, 0.8, 0.8), width=1.0), *linear])
    figure = largest_rate.largest_learning_rate(train)
    shown = [(axes.get_title(loc="left"), axes.get_ylabel()) for axes in figure.axes]
    assert shown == [("width 1", "training accuracy"), ("width 9", "training loss")]


def test_every_learning_rate_has_a_tick_and_labels_have_room():
    rates = [0.1 * number for number in range(1, 21)]
    train = pandas.concat([_train(lr, accuracy=0.5) for lr in rates])
    figure = largest_rate.largest_learning_rate(train)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    assert list(axes.get_xticks()) == rates
    boxes = [one.get_window_extent() for one in axes.get_xticklabels() if one.get_text()]
    assert 4 <= len(boxes) < 10
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def _map(cells):
    """Frames of a run per cell: (norm, lr, seed) -> (accuracy, status, smoothness after 100)."""
    trains, probes = [], []
    for (norm, lr, seed), (accuracy, status, peak) in cells.items():
        train = _train(
            lr, accuracy=accuracy, norm=norm, seed=seed, steps=160, status=status, classes=10.0
        )
        trains.append(train)
        probes.append(_landscape(train, [1e6, 1e6, peak, peak / 2]))
    return pandas.concat(probes), pandas.concat(trains)


GRID = {
    **{("bn", lr, seed): (0.9, "done", 20.0 * 4**seed) for lr in RATES for seed in (0, 1)},
    **{("none", lr, seed): (0.9, "done", 30.0) for lr in RATES for seed in (0, 1)},
}
STUCK = (0.1, "done", 0.01)


def _value(data, norm, lr):
    (row,) = data[(data["norm"] == norm) & (data["lr"] == lr)].itertuples()
    return row


def test_a_map_has_the_geometric_mean_of_the_peaks_after_the_start_over_the_plateau():
    tables = _map(GRID)
    data = rate_map.smoothness_map_data(*tables)
    for lr in RATES:
        assert _value(data, "bn", lr).value == pytest.approx(40 * lr / 2)
        assert _value(data, "none", lr).value == pytest.approx(30 * lr / 2)
    assert set(data["runs"]) == set(data["trained"]) == {2} and set(data["diverged"]) == {0}
    (axes,) = rate_map.smoothness_map(*tables).axes
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
    data = rate_map.smoothness_map_data(*tables)
    stuck, lost, partly = (
        _value(data, *cell) for cell in (("none", 0.2), ("none", 0.4), ("bn", 0.4))
    )
    assert (stuck.trained, stuck.diverged) == (0, 0) and math.isnan(stuck.value)
    assert (lost.trained, lost.diverged) == (0, 2) and math.isnan(lost.value)
    assert (partly.runs, partly.trained) == (2, 1) and partly.value == pytest.approx(20 * 0.4 / 2)
    figure = rate_map.smoothness_map(*tables)
    (axes,) = figure.axes
    hatched = sorted(patch.get_x() // 1 for patch in axes.patches)
    assert hatched == [1, 2] and all(
        patch.get_hatch() and patch.get_y() < 1 for patch in axes.patches
    )
    _, crosses = axes.collections
    assert crosses.get_offsets().tolist() == [[2.5, 0.5]]
    texts = [text.get_text() for text in axes.texts]
    assert "$4.0$\n1 of 2" in texts and len(texts) == 4
    assert _legend(figure) == ["does not train", "diverged"]


def test_an_unbounded_peak_is_written_as_such_and_what_was_not_probed_not_at_all():
    tables = _map({**GRID, ("bn", 0.1, 0): (0.9, "done", math.inf)})
    landscape, train = tables
    unprobed = (landscape["norm"] == "none") & (landscape["lr"] == 0.1) & (landscape["step"] > 50)
    landscape = landscape[~unprobed]
    data = rate_map.smoothness_map_data(landscape, train)
    assert _value(data, "bn", 0.1).value == math.inf
    assert math.isnan(_value(data, "none", 0.1).value)
    (axes,) = rate_map.smoothness_map(landscape, train).axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written[0.5, 1.5] == r"$\infty$" and not written.get((0.5, 0.5))
    assert not axes.patches and len(written) >= 5


def test_a_map_needs_two_normalisations_at_three_learning_rates():
    for left_out in (lambda cell: cell[0] == "none", lambda cell: cell[1] == 0.4):
        tables = _map({cell: one for cell, one in GRID.items() if not left_out(cell)})
        assert len(rate_map.smoothness_map_data(*tables)) == 0
        assert _message(rate_map.smoothness_map(*tables)).startswith("No finite peak")


@pytest.mark.parametrize(
    ("norms", "rates", "expected"),
    [
        (("bn",), (0.1,), ()),
        (("bn",), (0.1, 0.5), NAMES[1:2]),
        (("bn",), RATES, NAMES[:2]),
        (("bn", "none"), (0.1, 0.5), NAMES[1:2]),
        (("bn", "none"), RATES, NAMES),
    ],
)
def test_they_belong_to_a_report_of_enough_learning_rates(runs, norms, rates, expected):
    for norm, lr, seed in itertools.product(norms, rates, (0, 1)):
        runs(norm=norm, lr=lr, seed=seed, steps=1, kinds=())
    # Other settings make no further learning rate of the same condition.
    runs(norm="bn", lr=0.9, steps=1, kinds=(), momentum=0.9)
    found = frames.read_runs(runs.root)
    entries = [one for one in figures.FIGURES if one.name in NAMES]
    assert tuple(one.name for one in entries if one.applies(found)) == expected


def test_of_runs_on_disk_everything_is_drawn_and_nothing_changed(runs):
    for norm, lr in itertools.product(("none", "bn"), (0.1, 0.2, 0.5)):
        runs(norm=norm, lr=lr, steps=130, kinds=("train", "landscape"))
    found = frames.read_runs(runs.root)
    for entry in (one for one in figures.FIGURES if one.name in NAMES):
        tables = [frames.frame(found, kind) for kind in entry.kinds]
        before = [table.copy(deep=True) for table in tables]
        figure = entry.draw(*tables)
        figure.draw_without_rendering()
        for table, other in zip(tables, before, strict=True):
            pandas.testing.assert_frame_equal(table, other)
        assert figure.axes[0].has_data() and len(entry.data(*tables)) >= 6
    # Without normalisation nothing trains at 0.5: the last figure says so.
    assert len(figure.axes[0].patches) == 1
