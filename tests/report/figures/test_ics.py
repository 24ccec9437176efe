"""Internal covariate shift of some layers."""

import numpy as np
import pandas as pd
from artists import lines, titles

from bnkit.report import load_runs
from bnkit.report.figures import ics


def _records(layers):
    """A record of a network with so many layers, at step 0."""
    names = [f"dense{number}" for number in range(1, layers + 1)]
    columns = {"run": "r", "norm": "none", "lr": 1e-6, "seed": 0, "step": 0, "layer": names}
    return pd.DataFrame({**columns, "l2": 1.0, "cosine": 0.5})


def test_the_layers_of_the_paper_are_shown(runs):
    records = load_runs(runs(steps=60), "ics")
    figure = ics.ENTRY.draw(records)
    shown = [title.split(" ")[0] for title in titles(figure.axes[::2])]
    assert shown == ["conv2", "conv5", "dense10"]
    assert figure.axes[0].get_yscale() == "log" and figure.axes[1].get_yscale() == "linear"
    expected = records.loc[records["layer"] == "conv2", "l2"]
    drawn = lines(figure.axes[0], "bn")[0].get_ydata()
    np.testing.assert_allclose(drawn, expected, rtol=1e-12)


def test_the_cosine_is_seen_up_to_1_and_as_far_down_as_it_is():
    records = _records(25)
    low, high = ics.ENTRY.draw(records).axes[1].get_ylim()
    assert 0.4 < low < 0.5 and 1 < high < 1.1
    records.loc[records["layer"] == "dense9", "cosine"] = -0.5
    _, ninth, _, seventeenth = ics.ENTRY.draw(records).axes
    assert -0.6 < ninth.get_ylim()[0] < -0.5
    assert ninth.get_ylim() == seventeenth.get_ylim()


def test_the_first_layer_has_no_place_on_a_logarithmic_axis():
    l2, cosine = ics.ENTRY.draw(_records(1)).axes
    assert "0 by definition" in l2.texts[0].get_text() and l2.get_yscale() == "linear"
    assert not l2.get_lines() and list(lines(cosine, "none")[0].get_ydata()) == [0.5]
    assert set(ics.ENTRY.data(_records(1))["quantity"]) == {"cosine"}


def test_a_deep_network_shows_layers_9_and_17():
    assert list(ics.ENTRY.data(_records(25))["layer"].unique()) == ["dense17", "dense9"]
    layers = ics.ENTRY.data(_records(16))["layer"].unique()
    assert sorted(layers) == ["dense10", "dense2", "dense5"]
