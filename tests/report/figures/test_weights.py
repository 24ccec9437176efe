"""Effective learning rate and angular update."""

import numpy as np
import pandas as pd
from artists import curve, message, titles

from bnkit.report import load_runs
from bnkit.report.figures import weights


def _records():
    columns = {"run": "r", "norm": "bn", "lr": 0.1, "seed": 0, "step": 0}
    return pd.DataFrame([{**columns, "layer": "a", "effective_lr": 0.1, "angular_update": 0.1}])


def test_effective_lr_and_angle_of_the_layers_of_the_paper(runs):
    records = load_runs(runs(steps=60), "weights")
    figure = weights.ENTRY.draw(records)
    panels = np.reshape(figure.axes, (3, 2))
    shown = [title.split(",")[0] for title in titles(panels[:, 0])]
    assert shown == ["conv2 (layer 2)", "conv5 (layer 5)", "dense10 (layer 10)"]
    for row, layer in zip(panels, ("conv2", "conv5", "dense10"), strict=True):
        there = records[records["layer"] == layer]
        for axes, column in zip(row, ("effective_lr", "angular_update"), strict=True):
            steps, values = curve(axes, "bn")
            assert steps == [0, 25, 50] and axes.get_yscale() == "log"
            np.testing.assert_allclose(values, there[column], rtol=1e-12)
    data = weights.ENTRY.data(records)
    assert set(data["layer"]) == {"conv2", "conv5", "dense10"}


def test_every_condition_shows_its_own_layers(runs):
    runs(steps=60)
    runs(steps=60, model="dln")
    records = load_runs(runs.root, "weights")
    layers = [title.split(" ")[0] for title in titles(weights.ENTRY.draw(records).axes)]
    assert sorted(layers) == ["conv2", "conv5", "dense10", "dense17", "dense9"]


def test_without_records_the_figure_says_so():
    assert message(weights.ENTRY.draw(_records().iloc[:0])).startswith("No finite value")
