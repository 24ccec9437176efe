"""Final accuracy over learning rates, against numbers worked out by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import rates
from artists import arrows, dashed, legend, lines, message

from bnkit.report import load_runs
from bnkit.report.figures import largest_learning_rate


def _dots(axes, norm):
    (dots,) = [one for one in lines(axes, norm) if one.get_marker() == "o"]
    return dots.get_xydata()


def _final(accuracies, norm="bn", seed=0, **columns):
    """Runs of 60 steps at `rates.RATES`: accuracy 0.9 for ten of them, then the one given."""
    return pd.concat(
        [
            rates.train(
                lr, accuracy=[0.9] * 10 + [one] * 50, norm=norm, seed=seed, steps=60, **columns
            )
            for lr, one in zip(rates.RATES, accuracies, strict=True)
        ]
    )


def test_final_accuracy_is_that_of_the_last_50_steps_and_the_line_the_mean_over_seeds():
    train = pd.concat([_final((0.8, 0.6, 0.3)), _final((0.6, 0.6, 0.1), seed=1)])
    data = largest_learning_rate.ENTRY.data(train)
    means = data[data["series"] == "mean"]
    assert means["lr"].tolist() == list(rates.RATES) and set(means["runs"]) == {2}
    assert means["value"].tolist() == pytest.approx([0.7, 0.6, 0.2])
    single = data[data["series"] == "run"].sort_values(["seed", "lr"])
    assert single["value"].tolist() == pytest.approx([0.8, 0.6, 0.3, 0.6, 0.6, 0.1])
    assert data.loc[data["series"] == "guessing", "value"].tolist() == [0.1]
    (axes,) = largest_learning_rate.ENTRY.draw(train).axes
    np.testing.assert_allclose(sorted(_dots(axes, "bn")[:, 1]), sorted(single["value"]))
    assert dashed(axes) == [0.1] and axes.get_ylabel() == "training accuracy"
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "learning rate"
    assert list(axes.get_xticks()) == list(rates.RATES)


def test_dots_of_arms_stand_beside_each_other_and_near_their_learning_rate():
    norms = ("none", "bn", "l1", "l2", "linf")
    train = pd.concat([_final((1.0, 1.0, 1.0), norm=norm) for norm in norms])
    (axes,) = largest_learning_rate.ENTRY.draw(train).axes
    places = np.log([_dots(axes, norm)[:, 0] for norm in norms])
    assert (np.diff(places, axis=0) > 0).all()
    np.testing.assert_allclose(places.mean(axis=0), np.log(rates.RATES))
    assert np.abs(places - np.log(rates.RATES)).max() < 0.05


def test_a_run_that_diverged_counts_as_guessing_with_a_cross():
    train = pd.concat([_final((0.8, 0.8, 0.8), classes=4.0), _final((0.6,) * 3, seed=1)])
    train["classes"] = 4.0
    ended = (train["seed"] == 1) & (train["lr"] == 0.4)
    train = train.assign(status=train["status"].mask(ended, "diverged"))
    data = largest_learning_rate.ENTRY.data(train)
    (diverged,) = data[data["series"] == "diverged"].itertuples()
    assert (diverged.lr, diverged.seed, diverged.value) == (0.4, 1, 0.25)
    mean = data[(data["series"] == "mean") & (data["lr"] == 0.4)]
    assert mean["value"].tolist() == pytest.approx([(0.8 + 0.25) / 2])
    figure = largest_learning_rate.ENTRY.draw(train)
    (crosses,) = figure.axes[0].collections
    np.testing.assert_allclose(crosses.get_offsets(), [[0.4, 0.25]])
    assert "diverged" in legend(figure) and len(_dots(figure.axes[0], "bn")) == 5


def test_of_a_regression_it_is_the_loss_and_infinite_where_a_run_diverged():
    train = pd.concat(
        [
            *(rates.train(lr, 2.0, classes=math.nan) for lr in rates.RATES),
            *(rates.train(lr, 8.0, seed=1, classes=math.nan) for lr in rates.RATES[:2]),
            rates.train(0.4, 8.0, seed=1, classes=math.nan, status="diverged"),
        ]
    )
    data = largest_learning_rate.ENTRY.data(train)
    means = data.loc[data["series"] == "mean", "value"].tolist()
    assert means == pytest.approx([4, 4, math.inf]) and set(data["quantity"]) == {"loss"}
    assert "guessing" not in set(data["series"])
    figure = largest_learning_rate.ENTRY.draw(train)
    (axes,) = figure.axes
    assert arrows(axes) == [0.4] and "infinite" in legend(figure)
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "training loss")


def test_runs_that_have_not_ended_have_no_final_value():
    train = pd.concat([_final((0.8, 0.8, 0.8)), _final((0.1,) * 3, seed=1, status="running")])
    data = largest_learning_rate.ENTRY.data(train)
    assert set(data["runs"].dropna()) == {1} and set(data["seed"].dropna()) == {0}
    text = message(largest_learning_rate.ENTRY.draw(train[train["seed"] == 1]))
    assert text.startswith("No finite values")


def test_accuracies_and_losses_have_panels_of_their_own():
    linear = [rates.train(lr, 2.0, classes=math.nan, width=9.0) for lr in rates.RATES]
    train = pd.concat([_final((0.8, 0.8, 0.8), width=1.0), *linear])
    figure = largest_learning_rate.ENTRY.draw(train)
    shown = [(axes.get_title(loc="left"), axes.get_ylabel()) for axes in figure.axes]
    assert shown == [("width 1", "training accuracy"), ("width 9", "training loss")]


def test_every_learning_rate_has_a_tick_and_labels_have_room():
    many = [0.1 * number for number in range(1, 21)]
    train = pd.concat([rates.train(lr, accuracy=0.5) for lr in many])
    figure = largest_learning_rate.ENTRY.draw(train)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    assert list(axes.get_xticks()) == many
    boxes = [one.get_window_extent() for one in axes.get_xticklabels() if one.get_text()]
    assert 4 <= len(boxes) < 10
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def test_training_records_have_the_number_of_classes(runs):
    runs(steps=30)
    runs(steps=30, model="dln")
    classes = load_runs(runs.root, "train").groupby("model")["classes"].agg(["min", "max"])
    assert classes.loc["vgg11"].tolist() == [10, 10] and classes.loc["dln"].isna().all()
